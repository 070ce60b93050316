noinst_LIBRARIES += libupstream.a
libupstream_a_SOURCES = worker/upstream/upstream.h worker/upstream/upstream.c
