# The helpers: executables of their own, so that postern links neither libcrypt nor PAM nor a database.
# Of this archive postern itself takes the codec alone.
noinst_LIBRARIES += libhelper.a
libhelper_a_SOURCES = \
	worker/helper/codec.h worker/helper/codec.c \
	worker/helper/crypthash.h worker/helper/crypthash.c \
	worker/helper/secret.h worker/helper/secret.c \
	worker/helper/proof.h worker/helper/proof.c \
	worker/helper/grant.h worker/helper/grant.c \
	worker/helper/mysql_row.h worker/helper/mysql_row.c \
	worker/helper/passwdline.h worker/helper/passwdline.c \
	worker/helper/passwdfile.h worker/helper/passwdfile.c \
	worker/helper/filetext.h worker/helper/filetext.c \
	worker/helper/jwa.h worker/helper/jwa.c \
	worker/helper/jwks.h worker/helper/jwks.c \
	worker/helper/jwt.h worker/helper/jwt.c \
	worker/helper/helper_log.h worker/helper/helper_log.c \
	worker/helper/watchdog.h worker/helper/watchdog.c worker/helper/helper.h worker/helper/helper.c

pkglibexec_PROGRAMS += postern-auth-file
postern_auth_file_SOURCES = worker/helper/helper_file.c
postern_auth_file_LDADD = libhelper.a libcommon.a $(CRYPT_LIBS) $(OPENSSL_LIBS)

pkglibexec_PROGRAMS += postern-auth-jwt
postern_auth_jwt_SOURCES = worker/helper/helper_jwt.c
postern_auth_jwt_LDADD = libhelper.a libcommon.a $(JANSSON_LIBS) $(OPENSSL_LIBS)

# The command that changes what auth_file reads.
libhelper_a_SOURCES += \
	worker/helper/passwdargs.h worker/helper/passwdargs.c \
	worker/helper/passwdask.h worker/helper/passwdask.c \
	worker/helper/passwdedit.h worker/helper/passwdedit.c \
	worker/helper/passwdlist.h worker/helper/passwdlist.c \
	worker/helper/passwdstore.h worker/helper/passwdstore.c \
	worker/helper/secretmake.h worker/helper/secretmake.c
sbin_PROGRAMS += postern-passwd
postern_passwd_SOURCES = worker/helper/passwd_main.c
postern_passwd_LDADD = libhelper.a libcommon.a $(CRYPT_LIBS) $(OPENSSL_LIBS)

if HAVE_PAM
libhelper_a_SOURCES += \
	worker/helper/pamtalk.h worker/helper/pamtalk.c \
	worker/helper/pamverdict.h worker/helper/pamverdict.c
pkglibexec_PROGRAMS += postern-auth-pam
postern_auth_pam_SOURCES = worker/helper/helper_pam.c
postern_auth_pam_LDADD = libhelper.a libcommon.a $(PAM_LIBS)
if SANITIZERS
# AddressSanitizer stands before crypt_r(), and looks for the real one before a module brings it.
postern_auth_pam_LDFLAGS = $(AM_LDFLAGS) -Wl,--no-as-needed
postern_auth_pam_LDADD += $(CRYPT_LIBS)
endif
endif

if HAVE_MYSQL
pkglibexec_PROGRAMS += postern-auth-mysql
postern_auth_mysql_SOURCES = worker/helper/helper_mysql.c \
	worker/helper/mysql_open.h worker/helper/mysql_open.c \
	worker/helper/mysql_link.h worker/helper/mysql_link.c
postern_auth_mysql_LDADD = libhelper.a libcommon.a $(MYSQL_LIBS) $(CRYPT_LIBS) $(OPENSSL_LIBS)
endif
