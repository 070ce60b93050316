dist_doc_DATA = README doc/ARCHITECTURE doc/HACKING
dist_doc_DATA += doc/auth-file doc/auth-http doc/auth-mysql doc/auth-pam doc/auth-oauth doc/auth-passthrough doc/auth-chains
dist_doc_DATA += doc/coming-from-nginx doc/coming-from-perdition doc/coming-from-dovecot doc/tls doc/haproxy doc/fleet doc/tuning
dist_man_MANS += doc/postern.8 doc/postern-passwd.8 doc/postern.conf.5
