/*
 * smtp_scene - brings an SMTP session to where a test begins
 */
#ifndef POSTERN_TEST_UNIT_SMTP_SCENE_H
#define POSTERN_TEST_UNIT_SMTP_SCENE_H

#include "test/unit/dialogue.h"
#include "worker/proto/smtp_gate.h"

/* A client half that has said `said` and got an answer to each command, or that it waits for. */
struct client *smtp_scene_client(const struct scene *scene, const char *said);

/* A gate behind EHLO c, MAIL FROM:<a> and RCPT TO:<first>, which got `rcpt_answer` from a backend that may chunk. */
struct smtp_gate *smtp_scene_gate(struct scene *scene, bool chunking, const char *rcpt_answer);

#endif
