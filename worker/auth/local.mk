noinst_LIBRARIES += libauth.a
libauth_a_SOURCES = \
	worker/auth/auth.h worker/auth/auth_source.h worker/auth/auth.c \
	worker/auth/auth_chain.h worker/auth/auth_chain.c worker/auth/auth_passthrough.c \
	worker/auth/auth_cache.h worker/auth/auth_cache.c \
	worker/auth/auth_pack.h worker/auth/auth_pack.c worker/auth/auth_seal.h worker/auth/auth_seal.c \
	worker/auth/web.h worker/auth/web.c \
	worker/auth/auth_http.c worker/auth/auth_helper.c \
	worker/auth/auth_introspection.c worker/auth/introspection_answer.h worker/auth/introspection_answer.c \
	worker/auth/http_answer.h worker/auth/http_answer.c
