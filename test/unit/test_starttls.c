/* STARTTLS in both halves of every protocol: what is offered, what is refused, what is forgotten. */
#include <string.h>

#include "common/mem.h"
#include "test/unit/smtp_scene.h"
#include "test/unit/unit.h"
#include "worker/proto/imap.h"
#include "worker/proto/pop3.h"
#include "worker/proto/smtp.h"
#include "worker/proto/smtp_login.h"
#include "worker/proto/smtp_words.h"

#define IMAP_HELLO "* OK IMAP4 ready\r\n"
#define IMAP_WRONG "NO [AUTHENTICATIONFAILED] Authentication failed.\r\n"
#define IMAP_EARLY "NO [PRIVACYREQUIRED] Must issue a STARTTLS command first\r\n"
#define IMAP_NO_CERTIFICATE "NO [AUTHENTICATIONFAILED] No valid client certificate.\r\n"
#define IMAP_BAD "BAD invalid command\r\n"
#define POP3_HELLO "+OK POP3 ready\r\n"
#define POP3_WRONG "-ERR [AUTH] Authentication failed\r\n"
#define POP3_EARLY "-ERR Must issue a STLS command first\r\n"
#define POP3_NO_CERTIFICATE "-ERR [AUTH] No valid client certificate\r\n"
#define POP3_BAD "-ERR invalid command\r\n"
#define CAPA "+OK Capability list follows\r\nTOP\r\n"
#define CODES "RESP-CODES\r\nAUTH-RESP-CODE\r\n"
#define SMTP_HELLO "220 mx.example ESMTP ready\r\n"
#define SMTP_WRONG "535 5.7.8 Authentication failed\r\n"
#define EHLO "250-mx.example\r\n250-SIZE 9\r\n"
#define PLAIN METHOD_PLAIN
#define PLAIN_OR_EXTERNAL (METHOD_PLAIN | METHOD_EXTERNAL)

static const char *imap_words[] = { "IMAP4rev1", "starttls", "LOGINDISABLED", NULL };
static const char *pop3_words[] = { "TOP", "USER", "stls", NULL };
static const char *smtp_words[] = { "SIZE 9", "starttls", NULL };
static const struct refusal wrong = { .kind = REFUSAL_WRONG };

static const struct {
	const struct proto *proto;
	const char **words;
	enum protocol protocol;
} kinds[] = {
	{ &proto_imap, imap_words, PROTOCOL_IMAP },
	{ &proto_pop3, pop3_words, PROTOCOL_POP3 },
	{ &proto_smtp, smtp_words, PROTOCOL_SMTP },
};

static void
set_scene(struct scene *scene, enum protocol protocol, unsigned methods, enum starttls starttls)
{
	scene_init(scene, protocol, methods, kinds[protocol].words);
	scene->server.starttls = starttls;
}

/* What is said in the clear and then, should there be TLS, inside of it. Every login is refused. */
static const struct {
	enum protocol protocol;
	enum starttls starttls;
	unsigned methods;
	const char *verify;     /* of the client's certificate */
	const char *said, *inside, *heard;
} cases[] = {
	/* what is offered before and after; that it is listed makes no difference */
	{ PROTOCOL_IMAP, STARTTLS_OFF, PLAIN, NULL, "a CAPABILITY\r\nb STARTTLS\r\n", NULL,
	    IMAP_HELLO "* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\na OK completed\r\nb " IMAP_BAD },
	{ PROTOCOL_IMAP, STARTTLS_ON, PLAIN, NULL, "a CAPABILITY\r\nb starttls\r\n", "c CAPABILITY\r\nd STARTTLS\r\n",
	    IMAP_HELLO "* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR STARTTLS\r\na OK completed\r\nb OK completed\r\n"
	    "{starttls}* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\nc OK completed\r\nd " IMAP_BAD },
	{ PROTOCOL_IMAP, STARTTLS_ONLY, PLAIN, NULL, "a CAPABILITY\r\nb STARTTLS \r\n", "c CAPABILITY\r\n",
	    IMAP_HELLO "* CAPABILITY IMAP4rev1 SASL-IR STARTTLS LOGINDISABLED\r\na OK completed\r\nb OK completed\r\n"
	    "{starttls}* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\nc OK completed\r\n" },
	{ PROTOCOL_IMAP, STARTTLS_ON, PLAIN, NULL, "a STARTTLS x\r\nb NOOP\r\n", NULL,
	    IMAP_HELLO "a " IMAP_BAD "b OK completed\r\n" },
	{ PROTOCOL_POP3, STARTTLS_OFF, PLAIN, NULL, "CAPA\r\nSTLS\r\n", NULL,
	    POP3_HELLO CAPA "USER\r\n" CODES "SASL PLAIN LOGIN\r\n.\r\n" POP3_BAD },
	{ PROTOCOL_POP3, STARTTLS_ON, PLAIN, NULL, "CAPA\r\nstls\r\n", "CAPA\r\nSTLS\r\n",
	    POP3_HELLO CAPA "USER\r\n" CODES "SASL PLAIN LOGIN\r\nSTLS\r\n.\r\n+OK\r\n{starttls}"
	    CAPA "USER\r\n" CODES "SASL PLAIN LOGIN\r\n.\r\n" POP3_BAD },
	{ PROTOCOL_POP3, STARTTLS_ONLY, PLAIN, NULL, "CAPA\r\nSTLS\r\n", "CAPA\r\n",
	    POP3_HELLO CAPA CODES "STLS\r\n.\r\n+OK\r\n{starttls}" CAPA "USER\r\n" CODES "SASL PLAIN LOGIN\r\n.\r\n" },
	{ PROTOCOL_POP3, STARTTLS_ON, PLAIN, NULL, "STLS x\r\n", NULL, POP3_HELLO POP3_BAD },
	{ PROTOCOL_SMTP, STARTTLS_OFF, PLAIN, NULL, "EHLO c\r\nSTARTTLS\r\n", NULL,
	    SMTP_HELLO EHLO "250 AUTH PLAIN\r\n" SMTP_INVALID },
	{ PROTOCOL_SMTP, STARTTLS_ON, PLAIN, NULL, "EHLO c\r\nSTARTTLS\r\n", "EHLO c\r\nSTARTTLS\r\n",
	    SMTP_HELLO EHLO "250-AUTH PLAIN\r\n250 STARTTLS\r\n" SMTP_TLS_READY "{starttls}"
	    EHLO "250 AUTH PLAIN\r\n" SMTP_SEQUENCE },
	{ PROTOCOL_SMTP, STARTTLS_ONLY, PLAIN, NULL, "EHLO c\r\nstarttls\r\n", "EHLO c\r\n",
	    SMTP_HELLO EHLO "250 STARTTLS\r\n" SMTP_TLS_READY "{starttls}" EHLO "250 AUTH PLAIN\r\n" },
	{ PROTOCOL_SMTP, STARTTLS_ON, PLAIN, NULL, "HELO c\r\nSTARTTLS x\r\n", NULL,
	    SMTP_HELLO "250 mx.example\r\n" SMTP_ARGUMENT },
	/* only: nothing secret before, nor an invitation to tell it */
	{ PROTOCOL_IMAP, STARTTLS_ONLY, PLAIN, NULL,
	    "a LOGIN u p\r\nb AUTHENTICATE PLAIN\r\nc AUTHENTICATE PLAIN AHUAcA==\r\nd LOGIN {1}\r\ne NOOP\r\n", NULL,
	    IMAP_HELLO "a " IMAP_EARLY "b " IMAP_EARLY "c " IMAP_EARLY "d " IMAP_EARLY "e OK completed\r\n" },
	{ PROTOCOL_IMAP, STARTTLS_ONLY, PLAIN, NULL, "a LOGIN {8+}\r\nb LOGOUT p\r\n", NULL,
	    IMAP_HELLO "a " IMAP_EARLY "{close}" },
	{ PROTOCOL_IMAP, STARTTLS_ONLY, PLAIN, NULL, "a STARTTLS\r\n", "b LOGIN u p\r\n",
	    IMAP_HELLO "a OK completed\r\n{starttls}{plain u p}b " IMAP_WRONG },
	{ PROTOCOL_IMAP, STARTTLS_ONLY, PLAIN, NULL, "a LOGIN\r\nb LOGIN\r\nc LOGIN\r\nd LOGIN\r\ne LOGIN\r\nf LOGIN\r\n",
	    NULL, IMAP_HELLO "a " IMAP_EARLY "b " IMAP_EARLY "c " IMAP_EARLY "d " IMAP_EARLY "e " IMAP_EARLY "{close}" },
	{ PROTOCOL_POP3, STARTTLS_ONLY, PLAIN, NULL, "USER u\r\nPASS p\r\nAUTH\r\nAUTH PLAIN AHUAcA==\r\nAPOP u x\r\n",
	    NULL, POP3_HELLO POP3_EARLY POP3_EARLY POP3_EARLY POP3_EARLY POP3_EARLY },
	{ PROTOCOL_POP3, STARTTLS_ONLY, PLAIN, NULL, "STLS\r\n", "USER u\r\nPASS p\r\n",
	    POP3_HELLO "+OK\r\n{starttls}+OK\r\n{plain u p}" POP3_WRONG },
	{ PROTOCOL_SMTP, STARTTLS_ONLY, PLAIN, NULL, "AUTH PLAIN AHUAcA==\r\nAUTH LOGIN\r\nAUTH\r\nNOOP\r\n", NULL,
	    SMTP_HELLO SMTP_TLS_AUTH SMTP_TLS_AUTH SMTP_TLS_AUTH SMTP_OK },
	{ PROTOCOL_SMTP, STARTTLS_ONLY, METHOD_NONE, NULL, "EHLO c\r\nMAIL FROM:<a>\r\nRCPT TO:<b>\r\nSTARTTLS\r\n",
	    "MAIL FROM:<a>\r\nRCPT TO:<b>\r\n", SMTP_HELLO EHLO "250 STARTTLS\r\n" SMTP_FIRST_TLS SMTP_SEQUENCE
	    SMTP_TLS_READY "{starttls}" SMTP_OK "{none  MAIL FROM:<a> RCPT TO:<b>}550 5.7.1 Refused\r\n" },
	{ PROTOCOL_SMTP, STARTTLS_ONLY, PLAIN, NULL, "MAIL FROM:<a>\r\n", NULL, SMTP_HELLO SMTP_FIRST_TLS },
	/* what stands behind STARTTLS is lost, and so is what was said before it */
	{ PROTOCOL_IMAP, STARTTLS_ON, PLAIN, NULL, "a STARTTLS\r\nb LOGIN evil evil\r\nc NO", "OP\r\nd NOOP\r\n",
	    IMAP_HELLO "a OK completed\r\n{starttls}* " IMAP_BAD "d OK completed\r\n" },
	{ PROTOCOL_POP3, STARTTLS_ON, PLAIN, NULL, "USER evil\r\nSTLS\r\nUSER evil\r\nPASS ev", "PASS p\r\nNOOP\r\n",
	    POP3_HELLO "+OK\r\n+OK\r\n{starttls}" POP3_BAD "+OK\r\n" },
	{ PROTOCOL_SMTP, STARTTLS_ON, METHOD_NONE, NULL,
	    "HELO evil\r\nMAIL FROM:<evil>\r\nSTARTTLS\r\nMAIL FROM:<evil>\r\n",
	    "RCPT TO:<b>\r\nMAIL FROM:<a>\r\nRCPT TO:<b>\r\n",
	    SMTP_HELLO "250 mx.example\r\n" SMTP_OK SMTP_TLS_READY "{starttls}" SMTP_SEQUENCE SMTP_OK
	    "{none  MAIL FROM:<a> RCPT TO:<b>}550 5.7.1 Refused\r\n" },
	/* EXTERNAL: with a certificate that holds, and nothing else */
	{ PROTOCOL_IMAP, STARTTLS_ON, PLAIN_OR_EXTERNAL, "SUCCESS", "a CAPABILITY\r\nb AUTHENTICATE EXTERNAL dQ==\r\n"
	    "c STARTTLS\r\n", "d CAPABILITY\r\ne AUTHENTICATE EXTERNAL dQ==\r\nf AUTHENTICATE EXTERNAL =\r\n",
	    IMAP_HELLO "* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR STARTTLS\r\na OK completed\r\nb " IMAP_NO_CERTIFICATE
	    "c OK completed\r\n{starttls}* CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=EXTERNAL SASL-IR\r\nd OK completed\r\n"
	    "{external u}e " IMAP_WRONG "{external }f " IMAP_WRONG },
	{ PROTOCOL_IMAP, STARTTLS_ON, PLAIN_OR_EXTERNAL, "FAILED:certificate has expired", "a STARTTLS\r\n",
	    "b CAPABILITY\r\nc AUTHENTICATE EXTERNAL dQ==\r\n", IMAP_HELLO "a OK completed\r\n{starttls}"
	    "* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\nb OK completed\r\nc " IMAP_NO_CERTIFICATE },
	{ PROTOCOL_IMAP, STARTTLS_ON, PLAIN, "SUCCESS", "a STARTTLS\r\n", "b AUTHENTICATE EXTERNAL dQ==\r\n",
	    IMAP_HELLO "a OK completed\r\n{starttls}b " IMAP_BAD },
	{ PROTOCOL_POP3, STARTTLS_ON, PLAIN_OR_EXTERNAL, "SUCCESS", "AUTH EXTERNAL\r\nSTLS\r\n",
	    "AUTH EXTERNAL\r\n\r\nAUTH\r\nCAPA\r\n", POP3_HELLO POP3_NO_CERTIFICATE "+OK\r\n{starttls}"
	    "+ VXNlcm5hbWU6\r\n{external }" POP3_WRONG "+OK methods supported:\r\nPLAIN\r\nLOGIN\r\nEXTERNAL\r\n.\r\n"
	    CAPA "USER\r\n" CODES "SASL PLAIN LOGIN EXTERNAL\r\n.\r\n" },
	{ PROTOCOL_POP3, STARTTLS_ON, METHOD_EXTERNAL, "NONE", "STLS\r\n", "AUTH EXTERNAL dQ==\r\nCAPA\r\n",
	    POP3_HELLO "+OK\r\n{starttls}" POP3_NO_CERTIFICATE CAPA CODES ".\r\n" },
	{ PROTOCOL_SMTP, STARTTLS_ON, METHOD_EXTERNAL, "SUCCESS", "AUTH EXTERNAL =\r\nSTARTTLS\r\n",
	    "EHLO c\r\nAUTH EXTERNAL =\r\n", SMTP_HELLO SMTP_NO_CERTIFICATE SMTP_TLS_READY "{starttls}"
	    EHLO "250 AUTH EXTERNAL\r\n{external }" SMTP_WRONG },
	{ PROTOCOL_SMTP, STARTTLS_ON, PLAIN_OR_EXTERNAL, NULL, "STARTTLS\r\n", "EHLO c\r\nAUTH EXTERNAL dQ==\r\n",
	    SMTP_HELLO SMTP_TLS_READY "{starttls}" EHLO "250 AUTH PLAIN\r\n" SMTP_NO_CERTIFICATE },
};

START_TEST(a_client_gets_into_tls_the_same_however_it_is_cut)
{
	size_t len = strlen(cases[_i].said);
	struct scene scene;

	set_scene(&scene, cases[_i].protocol, cases[_i].methods, cases[_i].starttls);
	scene.tls.verify = cases[_i].verify;
	scene.inside = cases[_i].inside;
	for (size_t cut = 0; cut <= len; cut++) {
		char *heard =
		    dialogue_client(kinds[cases[_i].protocol].proto, &scene, cases[_i].said, len, cut, &wrong, NULL);

		ck_assert_str_eq(heard, cases[_i].heard);
		mem_free(heard);
	}
}
END_TEST

/* On a listener that is TLS from the first byte there is nothing to start. */
START_TEST(implicit_tls_is_as_good_as_starttls)
{
	static const char *const said[] = { "a CAPABILITY\r\na STARTTLS\r\na LOGIN u p\r\n", "STLS\r\nUSER u\r\nPASS p\r\n",
		"EHLO c\r\nSTARTTLS\r\nAUTH PLAIN AHUAcA==\r\n" };
	static const char *const expected[] = {
		IMAP_HELLO "* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\na OK completed\r\na " IMAP_BAD "{plain u p}a " IMAP_WRONG,
		POP3_HELLO POP3_BAD "+OK\r\n{plain u p}" POP3_WRONG,
		SMTP_HELLO EHLO "250 AUTH PLAIN\r\n" SMTP_SEQUENCE "{plain u p}" SMTP_WRONG,
	};
	struct scene scene;
	char *heard;

	set_scene(&scene, kinds[_i].protocol, PLAIN, STARTTLS_ONLY);
	scene.facts.secure = true;
	heard = dialogue_client(kinds[_i].proto, &scene, said[_i], strlen(said[_i]), 0, &wrong, NULL);
	ck_assert_str_eq(heard, expected[_i]);
	mem_free(heard);
}
END_TEST

/* The name that the client asked for may stand for a server with settings of its own, and even without a challenge. */
START_TEST(after_sni_the_settings_are_those_of_the_other_server)
{
	static const char *words[] = { "OTHER", NULL };
	static const char *const said[] = { "a STARTTLS\r\n", "STLS\r\n", "STARTTLS\r\n" };
	static const char *const inside[] = { "b CAPABILITY\r\nc LOGIN u p\r\nd AUTHENTICATE CRAM-MD5\r\n",
		"CAPA\r\nUSER u\r\nAUTH CRAM-MD5\r\n", "EHLO c\r\nAUTH PLAIN AHUAcA==\r\nAUTH CRAM-MD5\r\n" };
	static const char *const expected[] = {
		IMAP_HELLO "a OK completed\r\n{starttls}* CAPABILITY OTHER AUTH=EXTERNAL SASL-IR LOGINDISABLED\r\n"
		    "b OK completed\r\nc " IMAP_BAD "d " IMAP_BAD,
		POP3_HELLO "+OK\r\n{starttls}+OK Capability list follows\r\nOTHER\r\n" CODES "SASL EXTERNAL\r\n.\r\n"
		    POP3_BAD POP3_BAD,
		SMTP_HELLO SMTP_TLS_READY "{starttls}250-other.example\r\n250-OTHER\r\n250 AUTH EXTERNAL\r\n"
		    SMTP_INVALID SMTP_INVALID,
	};
	struct scene scene, other;
	char *heard;

	set_scene(&scene, kinds[_i].protocol, PLAIN, STARTTLS_ON);
	scene_init(&other, kinds[_i].protocol, METHOD_CRAM_MD5 | METHOD_EXTERNAL, words);
	other.server.name = "other.example";
	scene.facts.salt[0] = '\0';
	scene.sni = &other.server;
	scene.tls.verify = "SUCCESS";
	scene.inside = inside[_i];
	heard = dialogue_client(kinds[_i].proto, &scene, said[_i], strlen(said[_i]), 0, &wrong, NULL);
	ck_assert_str_eq(heard, expected[_i]);
	mem_free(heard);
}
END_TEST

START_TEST(a_bad_certificate_is_told_of_in_nginxs_words)
{
	static const char *const lines[][2] = {
		{ "* BYE SSL certificate error\r\n", "* BYE No required SSL certificate\r\n" },
		{ "-ERR SSL certificate error\r\n", "-ERR No required SSL certificate\r\n" },
		{ "421 4.7.1 SSL certificate error\r\n", "421 4.7.1 No required SSL certificate\r\n" },
	};

	for (int i = 0; i < 2; i++) {
		enum goodbye why = i == 0 ? GOODBYE_CERTIFICATE : GOODBYE_NO_CERTIFICATE;
		struct buf out;

		buf_init(&out, PROTO_ROOM);
		kinds[_i].proto->goodbye(why, "mx.example", &out);
		ck_assert_uint_eq(out.len, strlen(lines[_i][i]));
		ck_assert_mem_eq(buf_head(&out), lines[_i][i], out.len);
		buf_reset(&out);
	}
}
END_TEST

START_TEST(external_without_a_certificate_is_noted)
{
	static const char *const said[] = { "a AUTHENTICATE EXTERNAL dQ==\r\n", "AUTH EXTERNAL dQ==\r\n",
		"AUTH EXTERNAL dQ==\r\n" };
	struct scene scene;
	struct client *client;
	struct buf in, out;

	set_scene(&scene, kinds[_i].protocol, METHOD_EXTERNAL, STARTTLS_OFF);
	client = kinds[_i].proto->client_new(&scene.facts);
	buf_init(&in, 64);
	buf_init(&out, PROTO_ROOM);
	buf_add_text(&in, said[_i]);
	ck_assert_int_eq(client->proto->input(client, &in, &out), PROTO_AGAIN);
	ck_assert_str_eq(client->note, "client has no valid certificate for AUTH EXTERNAL command");
	ck_assert_uint_eq(client->errors, 1);
	client->proto->client_free(&client);
	buf_reset(&in);
	buf_reset(&out);
}
END_TEST

#define CAPS "* OK [CAPABILITY IMAP4rev1 LITERAL+ STARTTLS LOGINDISABLED] ready\r\n"
#define ASK "capability CAPABILITY\r\n"
#define START "starttls STARTTLS\r\n"
#define NOT_OFFERED "{unavailable upstream does not offer STARTTLS}"
#define BEHIND "{broken upstream sent data behind its STARTTLS reply}"
#define ALICE "a LOGIN \"alice\" {1}\r\n"
#define JOE "EHLO mx.example\r\nSTARTTLS\r\n{starttls}EHLO mx.example\r\n"
#define XCLIENT "XCLIENT ADDR=192.0.2.1 LOGIN=alice NAME=[UNAVAILABLE]\r\n"

/* A login as alice with a password that only a literal can hold; SMTP uses XCLIENT and no password. */
static const struct {
	enum protocol protocol;
	const char *clear, *inside, *outcome;
} logins[] = {
	{ PROTOCOL_IMAP, CAPS "starttls OK go\r\n", "+ \r\na OK in\r\n",
	    START "{starttls}" ALICE "\xff\r\n{done a OK in\r\n}" },
	/* LITERAL+ of the clear is forgotten */
	{ PROTOCOL_IMAP, CAPS "* OK [ALERT] x\r\nstarttls OK [CAPABILITY LITERAL+] go\r\n", "",
	    START "{starttls}" ALICE "{more}" },
	{ PROTOCOL_IMAP, "* OK hi\r\n* CAPABILITY IMAP4rev1 starttls\r\n* 1 X\r\ncapability OK\r\nstarttls OK go\r\n",
	    "a NO who\r\n", ASK START "{starttls}" ALICE "{refused a NO who\r\n}" },
	{ PROTOCOL_IMAP, "* OK [CAPABILITY IMAP4rev1 XSTARTTLS] hi\r\n", "", NOT_OFFERED },
	{ PROTOCOL_IMAP, "* OK hi\r\n* CAPABILITY IMAP4rev1 STARTTLSX\r\ncapability OK\r\n", "", ASK NOT_OFFERED },
	{ PROTOCOL_IMAP, "* OK hi\r\ncapability OK\r\n", "", ASK NOT_OFFERED },
	{ PROTOCOL_IMAP, "* OK hi\r\ncapability BAD what\r\n", "", ASK "{unavailable capability BAD what\r\n}" },
	{ PROTOCOL_IMAP, "* OK hi\r\ncapability WHAT\r\n", "",
	    ASK "{broken upstream sent invalid response: \"capability WHAT\"}" },
	{ PROTOCOL_IMAP, "* OK hi\r\n* X {3}\r\n", "", ASK "{broken upstream sent invalid response: \"* X {3}\"}" },
	{ PROTOCOL_IMAP, "* OK hi\r\n* BYE\r\n", "", ASK "{unavailable * BYE\r\n}" },
	{ PROTOCOL_IMAP, CAPS "starttls NO not now\r\n", "",
	    START "{unavailable upstream refused STARTTLS: \"starttls NO not now\"}" },
	{ PROTOCOL_IMAP, CAPS "starttls BAD what\r\n", "",
	    START "{unavailable upstream refused STARTTLS: \"starttls BAD what\"}" },
	{ PROTOCOL_IMAP, CAPS "a OK in\r\n", "", START "{broken upstream sent invalid response: \"a OK in\"}" },
	{ PROTOCOL_IMAP, CAPS "+ go\r\n", "", START "{broken upstream sent invalid response: \"+ go\"}" },
	{ PROTOCOL_IMAP, "* PREAUTH in\r\n", "", "{broken upstream sent invalid response: \"* PREAUTH in\"}" },
	{ PROTOCOL_IMAP, CAPS "starttls OK go\r\n* 1 EXISTS\r\n", "", START BEHIND "* 1 EXISTS\r\n" },
	{ PROTOCOL_IMAP, CAPS "starttls OK go\r\n+", "", START BEHIND "+" },
	{ PROTOCOL_POP3, "+OK hi\r\n+OK go\r\n", "+OK\r\n+OK in\r\n",
	    "STLS\r\n{starttls}USER alice\r\nPASS \xff\r\n{done +OK in\r\n}" },
	{ PROTOCOL_POP3, "+OK hi\r\n-ERR [SYS/TEMP] no\r\n", "",
	    "STLS\r\n{unavailable upstream does not offer STARTTLS: \"-ERR [SYS/TEMP] no\"}" },
	{ PROTOCOL_POP3, "-ERR busy\r\n", "", "{unavailable -ERR busy\r\n}" },
	{ PROTOCOL_POP3, "+OK hi\r\n+OK go\r\n+OK\r\n", "", "STLS\r\n" BEHIND "+OK\r\n" },
	{ PROTOCOL_POP3, "+OK hi\r\n+OK go\r\n\n", "", "STLS\r\n" BEHIND "\n" },
	{ PROTOCOL_SMTP, "220 b\r\n250-b\r\n250 starttls\r\n220-r\r\n220 go\r\n", "250-b\r\n250 XCLIENT NAME ADDR LOGIN\r\n220 b\r\n250 b\r\n",
	    JOE XCLIENT "EHLO c\r\n{done }" },
	{ PROTOCOL_SMTP, "220 b\r\n250-STARTTLS\r\n250-XSTARTTLS\r\n250 STARTTLSX\r\n", "",
	    "EHLO mx.example\r\n" NOT_OFFERED },
	{ PROTOCOL_SMTP, "220 b\r\n250-b\r\n250 STARTTLS\r\n454-a\r\n454 no\r\n", "",
	    "EHLO mx.example\r\nSTARTTLS\r\n{unavailable upstream refused STARTTLS: \"454 no\"}" },
	{ PROTOCOL_SMTP, "220 b\r\n250-b\r\n250 STARTTLS\r\n250 go\r\n", "",
	    "EHLO mx.example\r\nSTARTTLS\r\n{broken upstream sent invalid response: \"250 go\"}" },
	{ PROTOCOL_SMTP, "220 b\r\n502 what\r\n", "", "EHLO mx.example\r\n{unavailable 502 what\r\n}" },
	{ PROTOCOL_SMTP, "220 b\r\n250-b\r\n250 STARTTLS\r\n220 go\r\n250 b\r\n", "",
	    "EHLO mx.example\r\nSTARTTLS\r\n" BEHIND "250 b\r\n" },
};

static struct client *
asking_client(enum protocol protocol, const struct scene *scene)
{
	struct client *client;
	struct buf in, out;

	if (protocol == PROTOCOL_SMTP)
		return smtp_scene_client(scene, "EHLO c\r\n");
	client = kinds[protocol].proto->client_new(&scene->facts);
	buf_init(&in, 64);
	buf_init(&out, PROTO_ROOM);
	buf_add_text(&in, protocol == PROTOCOL_IMAP ? "a LOGIN u p\r\n" : "NOOP\r\n");
	client->proto->input(client, &in, &out);
	buf_reset(&in);
	buf_reset(&out);
	return client;
}

START_TEST(a_login_gets_into_tls_the_same_however_the_answers_are_cut)
{
	static char user[] = "alice", pass[] = "\xff";
	const struct credentials credentials = { .method = METHOD_PLAIN, .user = user, .pass = pass };
	char *answers = mem_printf("%s\1%s", logins[_i].clear, logins[_i].inside);
	size_t len = strlen(answers);
	struct scene scene;
	struct login_task task = dialogue_task(&scene, NULL, &credentials);
	struct client *client;

	set_scene(&scene, logins[_i].protocol, PLAIN, STARTTLS_OFF);
	scene.server.xclient = true;
	task.starttls = true;
	task.client = client = asking_client(logins[_i].protocol, &scene);
	for (size_t cut = 0; cut <= len; cut++) {
		char *outcome = dialogue_login(&task, client->proto, answers, len, cut);

		ck_assert_str_eq(outcome, logins[_i].outcome);
		mem_free(outcome);
	}
	mem_free(answers);
	client->proto->client_free(&client);
}
END_TEST

START_TEST(nothing_counts_as_sent_before_tls)
{
	static char user[] = "alice", pass[] = "secret";
	const struct credentials credentials = { .method = METHOD_PLAIN, .user = user, .pass = pass };
	static const char *const clear[] = {
		CAPS "starttls OK\r\n", "+OK\r\n+OK\r\n", "220 b\r\n250-b\r\n250-CHUNKING\r\n250 STARTTLS\r\n220 go\r\n",
	};
	struct scene scene;
	struct login_task task = dialogue_task(&scene, NULL, &credentials);
	struct client *client;
	struct login *login;
	struct buf in, out;

	set_scene(&scene, kinds[_i].protocol, PLAIN, STARTTLS_OFF);
	task.starttls = true;
	task.client = client = asking_client(kinds[_i].protocol, &scene);
	login = client->proto->login_new(&task);
	buf_init(&in, 256);
	buf_init(&out, 256);
	buf_add_text(&in, clear[_i]);
	ck_assert_int_eq(client->proto->login_input(login, &in, &out), LOGIN_STARTTLS);
	ck_assert(!login->credentials_sent);
	ck_assert_uint_eq(login->reply.len, 0);
	ck_assert_str_eq(login->action, "SSL handshaking to upstream");
	ck_assert_ptr_null(memmem(buf_head(&out), out.len, "alice", 5));
	ck_assert_int_eq(client->proto->login_secured(login, &out), LOGIN_MORE);
	if (_i == PROTOCOL_SMTP)
		ck_assert(!smtp_login_may_chunk(login));
	client->proto->login_free(&login);
	client->proto->client_free(&client);
	buf_reset(&in);
	buf_reset(&out);
}
END_TEST

Suite *
starttls_suite(void)
{
	Suite *suite = suite_create("starttls");
	TCase *tcase = tcase_create("starttls");

	tcase_add_loop_test(tcase, a_client_gets_into_tls_the_same_however_it_is_cut, 0, UNIT_COUNT(cases));
	tcase_add_loop_test(tcase, implicit_tls_is_as_good_as_starttls, 0, UNIT_COUNT(kinds));
	tcase_add_loop_test(tcase, after_sni_the_settings_are_those_of_the_other_server, 0, UNIT_COUNT(kinds));
	tcase_add_loop_test(tcase, a_bad_certificate_is_told_of_in_nginxs_words, 0, UNIT_COUNT(kinds));
	tcase_add_loop_test(tcase, external_without_a_certificate_is_noted, 0, UNIT_COUNT(kinds));
	tcase_add_loop_test(tcase, a_login_gets_into_tls_the_same_however_the_answers_are_cut, 0, UNIT_COUNT(logins));
	tcase_add_loop_test(tcase, nothing_counts_as_sent_before_tls, 0, UNIT_COUNT(kinds));
	suite_add_tcase(suite, tcase);
	return suite;
}
