#include "worker/helper/pamtalk.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "test/unit/unit.h"

#define MESSAGES 4

/* One round of a conversation: what is asked, and "" for what must be answered by nothing. */
struct ask {
	int style;
	const char *text, *answer;
};

static void
free_answers(struct pam_response *answers, int count)
{
	for (int i = 0; i < count; i++)
		free(answers[i].resp);
	free(answers);
}

/* Asks in one call; the end of the row is an ask of style 0. */
static int
converse(struct pamtalk *talk, const struct ask *asks)
{
	struct pam_message messages[MESSAGES];
	const struct pam_message *list[MESSAGES];
	struct pam_response *answers = NULL;
	int count = 0, result;

	for (; count < MESSAGES && asks[count].style != 0; count++) {
		messages[count] = (struct pam_message){ asks[count].style, asks[count].text };
		list[count] = &messages[count];
	}
	result = pamtalk_converse(count, list, &answers, talk);
	if (result != PAM_SUCCESS) {
		ck_assert_ptr_null(answers);
		return result;
	}
	for (int i = 0; i < count; i++) {
		if (asks[i].answer == NULL)
			ck_assert_ptr_null(answers[i].resp);
		else
			ck_assert_str_eq(answers[i].resp, asks[i].answer);
	}
	free_answers(answers, count);
	return PAM_SUCCESS;
}

static const struct {
	struct ask rounds[3][MESSAGES];
	int result;             /* of the last round */
	const char *said;
} talks[] = {
	{ { { { PAM_PROMPT_ECHO_OFF, "Password: ", "sesame" } } }, PAM_SUCCESS, "" },
	{ { { { PAM_PROMPT_ECHO_ON, "login: ", "joe" }, { PAM_PROMPT_ECHO_OFF, "Password: ", "sesame" } } },
	    PAM_SUCCESS, "" },
	{ { { { PAM_PROMPT_ECHO_OFF, "Password: ", "sesame" } }, { { PAM_PROMPT_ECHO_OFF, "Password: ", "sesame" } } },
	    PAM_SUCCESS, "" },
	{ { { { PAM_PROMPT_ECHO_OFF, "Password: ", "sesame" } }, { { PAM_PROMPT_ECHO_OFF, "Code: ", NULL } } },
	    PAM_CONV_ERR, "Code: " },
	{ { { { PAM_PROMPT_ECHO_OFF, "Password: ", "" }, { PAM_PROMPT_ECHO_OFF, "New password: ", NULL } } },
	    PAM_CONV_ERR, "New password: " },
	{ { { { PAM_PROMPT_ECHO_OFF, NULL, "sesame" } }, { { PAM_PROMPT_ECHO_OFF, NULL, "sesame" } } },
	    PAM_SUCCESS, "" },
	{ { { { PAM_TEXT_INFO, "one", NULL }, { PAM_ERROR_MSG, "two\xff\x1b[m", NULL }, { PAM_TEXT_INFO, NULL, NULL } },
	    { { PAM_TEXT_INFO, "three\nfour", NULL } } }, PAM_SUCCESS, "one; two\xff\x1b[m; three" },
	{ { { { PAM_PROMPT_ECHO_OFF, "Password: ", "" }, { PAM_RADIO_TYPE, "yes or no", NULL } } }, PAM_CONV_ERR, "" },
	{ { { { PAM_BINARY_PROMPT, "\1", NULL } } }, PAM_CONV_ERR, "" },
	{ { { { 4711, "?", NULL } } }, PAM_CONV_ERR, "" },
};

START_TEST(one_password_answers_one_question_and_no_other)
{
	struct pamtalk talk = { .user = "joe", .pass = "sesame" };
	int result = PAM_SUCCESS;

	for (size_t i = 0; i < 3 && talks[_i].rounds[i][0].style != 0; i++) {
		ck_assert_int_eq(result, PAM_SUCCESS);
		result = converse(&talk, talks[_i].rounds[i]);
	}
	ck_assert_int_eq(result, talks[_i].result);
	ck_assert(talk.balked == (result != PAM_SUCCESS));
	ck_assert_str_eq(talk.said, talks[_i].said);
	pamtalk_reset(&talk);
}
END_TEST

START_TEST(a_conversation_of_no_sense_is_refused)
{
	static const int counts[] = { 0, -1, PAM_MAX_NUM_MSG + 1 };
	static const struct pam_message question = { PAM_PROMPT_ECHO_OFF, NULL };
	const struct pam_message *nothing[] = { &question, NULL };
	struct pamtalk talk = { .user = "joe", .pass = "sesame" };
	struct pam_response *answers = NULL;

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		ck_assert_int_eq(pamtalk_converse(counts[i], NULL, &answers, &talk), PAM_CONV_ERR);
	ck_assert_ptr_null(answers);
	ck_assert_int_eq(pamtalk_converse(1, NULL, &answers, &talk), PAM_CONV_ERR);
	ck_assert_int_eq(pamtalk_converse(2, nothing, &answers, &talk), PAM_CONV_ERR);
	ck_assert_ptr_null(answers);
	pamtalk_reset(&talk);
}
END_TEST

START_TEST(whatever_modules_say_stays_bounded)
{
	struct pamtalk talk = { .user = "joe", .pass = "sesame" };
	char text[600];

	for (size_t len = 0; len < sizeof(text); len++) {
		struct ask ask[2] = { { PAM_TEXT_INFO, text, NULL } };

		memset(text, len % 3 == 0 ? '\xff' : 'x', len);
		text[len] = '\0';
		ck_assert_int_eq(converse(&talk, ask), PAM_SUCCESS);
		ck_assert_uint_lt(strlen(talk.said), PAMTALK_SAID_MAX);
		if (len % 7 == 0)
			talk.said[0] = '\0';
	}
}
END_TEST

START_TEST(a_failure_waits_and_a_success_does_not)
{
	struct pamtalk talk = { .user = "joe" };

	pamtalk_delay(PAM_SUCCESS, 3000000, &talk);
	ck_assert_uint_eq(talk.wait_ms, 0);
	pamtalk_delay(PAM_AUTH_ERR, 2500000, &talk);
	ck_assert_uint_eq(talk.wait_ms, 2500);
	pamtalk_delay(PAM_AUTH_ERR, UINT32_MAX, &talk);
	ck_assert_uint_eq(talk.wait_ms, PAMTALK_WAIT_MAX_MS);
}
END_TEST

Suite *
pamtalk_suite(void)
{
	Suite *suite = suite_create("pamtalk");
	TCase *tcase = tcase_create("pamtalk");

	suite_add_tcase(suite, tcase);
	tcase_add_loop_test(tcase, one_password_answers_one_question_and_no_other, 0, UNIT_COUNT(talks));
	tcase_add_test(tcase, a_conversation_of_no_sense_is_refused);
	tcase_add_test(tcase, whatever_modules_say_stays_bounded);
	tcase_add_test(tcase, a_failure_waits_and_a_success_does_not);
	return suite;
}
