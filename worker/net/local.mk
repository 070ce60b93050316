noinst_LIBRARIES += libnet.a
libnet_a_SOURCES = \
	worker/net/conn.h worker/net/conn.c \
	worker/net/wire.h worker/net/wire.c \
	worker/net/tlsio.h worker/net/tlsio.c \
	worker/net/tlsfacts.h worker/net/tlsfacts.c \
	worker/net/tlspeer.h worker/net/tlspeer.c \
	worker/net/hosts.h worker/net/hosts.c \
	worker/net/dnsloop.h worker/net/dnsloop.c \
	worker/net/dns_answer.h worker/net/dns_answer.c \
	worker/net/hostname.h worker/net/hostname.c \
	worker/net/hostwalk.h worker/net/hostwalk.c \
	worker/net/hostnames.h worker/net/hostnames.c \
	worker/net/resolver.h worker/net/resolver.c \
	worker/net/balance.h worker/net/balance.c \
	worker/net/http_client.h worker/net/http_client.c \
	worker/net/http_link.h worker/net/http_link.c
