dist_doc_DATA = README doc/ARCHITECTURE doc/HACKING doc/auth-file doc/auth-mysql doc/auth-pam doc/auth-oauth
dist_man_MANS += doc/postern.8 doc/postern-passwd.8 doc/postern.conf.5
