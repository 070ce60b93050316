# Session tests: the real binary against scripted and real peers.
TEST_EXTENSIONS = .py
PY_LOG_COMPILER = $(PYTHON)
TESTS += test/session/run.py

# The folder as it is: a list of its files would lack the newest.
EXTRA_DIST += test/session
