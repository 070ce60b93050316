noinst_LIBRARIES += libauth.a
libauth_a_SOURCES = \
	worker/auth/auth.h worker/auth/auth_source.h worker/auth/auth.c
