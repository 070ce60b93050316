#include "worker/helper/pamtalk.h"

#include <stdio.h>
#include <string.h>

#include "common/mem.h"

/* The first line of each text; what has no room is cut. */
static void
keep(struct pamtalk *talk, const char *text)
{
	size_t len = strlen(talk->said), room = sizeof(talk->said) - len;

	if (text != NULL && text[0] != '\0')
		snprintf(talk->said + len, room, "%s%.*s", len > 0 ? "; " : "", (int)strcspn(text, "\n"), text);
}

/* The password, for the first hidden question and whoever repeats it. NULL: it is not what is asked for. */
static char *
reveal(struct pamtalk *talk, const char *question)
{
	if (question == NULL)
		question = "";
	if (talk->asked == NULL)
		talk->asked = mem_strdup(question);
	if (strcmp(talk->asked, question) == 0)
		return mem_strdup(talk->pass);
	keep(talk, question);
	return NULL;
}

/* Returns 0, or -1 for a question without an answer. */
static int
reply(struct pamtalk *talk, const struct pam_message *message, struct pam_response *answer)
{
	switch (message->msg_style) {
	case PAM_PROMPT_ECHO_OFF:
		answer->resp = reveal(talk, message->msg);
		return answer->resp != NULL ? 0 : -1;
	case PAM_PROMPT_ECHO_ON:
		answer->resp = mem_strdup(talk->user);
		return 0;
	case PAM_TEXT_INFO:
	case PAM_ERROR_MSG:
		keep(talk, message->msg);
		return 0;
	default:
		return -1;
	}
}

int
pamtalk_converse(int count, const struct pam_message **messages, struct pam_response **answers, void *ctx)
{
	struct pamtalk *talk = ctx;
	struct pam_response *made;

	if (count <= 0 || count > PAM_MAX_NUM_MSG || messages == NULL || answers == NULL)
		return PAM_CONV_ERR;
	made = mem_array((size_t)count, sizeof(*made));
	for (int i = 0; i < count; i++) {
		if (messages[i] != NULL && reply(talk, messages[i], &made[i]) == 0)
			continue;
		talk->balked = true;
		for (int j = 0; j < i; j++)
			mem_free_secret(&made[j].resp);
		mem_free(made);
		return PAM_CONV_ERR;
	}
	*answers = made;
	return PAM_SUCCESS;
}

void
pamtalk_delay(int result, unsigned usec, void *ctx)
{
	struct pamtalk *talk = ctx;
	uint64_t ms = usec / 1000;

	if (result != PAM_SUCCESS)
		talk->wait_ms = ms < PAMTALK_WAIT_MAX_MS ? ms : PAMTALK_WAIT_MAX_MS;
}

void
pamtalk_reset(struct pamtalk *talk)
{
	mem_free(talk->asked);
	talk->asked = NULL;
}
