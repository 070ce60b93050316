# worker/proto/: the dialogues, pure: bytes in, bytes and a verdict out.
noinst_LIBRARIES += libproto.a
libproto_a_SOURCES = \
	worker/proto/proto.h worker/proto/proto.c worker/proto/proto_table.c \
	worker/proto/line.h worker/proto/line.c \
	worker/proto/quote.h worker/proto/quote.c \
	worker/proto/proxyhdr.h worker/proto/proxyhdr.c \
	worker/proto/bearer.h worker/proto/bearer.c worker/proto/sasl.h worker/proto/sasl.c \
	worker/proto/sasl_client.h worker/proto/sasl_client.c \
	worker/proto/imap_parse.h worker/proto/imap_parse.c \
	worker/proto/imap_id.h worker/proto/imap_id.c worker/proto/imap.h worker/proto/imap.c \
	worker/proto/imap_login.h worker/proto/imap_login.c \
	worker/proto/http_parse.h worker/proto/http_parse.c
libproto_a_SOURCES += \
	worker/proto/pop3.h worker/proto/pop3.c worker/proto/pop3_login.h worker/proto/pop3_login.c \
	worker/proto/smtp_words.h worker/proto/smtp_words.c worker/proto/smtp.h worker/proto/smtp.c \
	worker/proto/smtp_xclient.h worker/proto/smtp_xclient.c \
	worker/proto/smtp_login.h worker/proto/smtp_login.c \
	worker/proto/smtp_body.h worker/proto/smtp_body.c worker/proto/smtp_gate.h worker/proto/smtp_gate.c
