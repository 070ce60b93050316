# Session tests: the real binary against scripted and real peers.
TEST_EXTENSIONS = .py
PY_LOG_COMPILER = $(PYTHON)
TESTS += test/session/run.py

# dist-hook copies them: a list would lack the newest, and the folder as a whole would be that
# of the build, with its logs.
