EXTRA_DIST += test/bench/bench.py
