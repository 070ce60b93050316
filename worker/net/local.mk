noinst_LIBRARIES += libnet.a
libnet_a_SOURCES = \
	worker/net/conn.h worker/net/conn.c \
	worker/net/hosts.h worker/net/hosts.c \
	worker/net/resolver.h worker/net/resolver.c \
	worker/net/http_client.h worker/net/http_client.c
