dist_doc_DATA = README doc/ARCHITECTURE doc/HACKING
dist_man_MANS += doc/postern.8 doc/postern.conf.5
