/*
 * capture - what the code under test says in the log of the process
 */
#ifndef POSTERN_TEST_UNIT_CAPTURE_H
#define POSTERN_TEST_UNIT_CAPTURE_H

/* From now on lines are kept, of all levels, until capture_end(). */
void capture_begin(void);

/* What was said since capture_begin(), whole lines; static, until the next call. */
const char *capture_text(void);

void capture_end(void);

#endif
