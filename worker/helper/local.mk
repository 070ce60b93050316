# The helpers: executables of their own, so that postern links neither libcrypt nor PAM nor a database.
