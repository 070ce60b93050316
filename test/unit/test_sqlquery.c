#include "common/sqlquery.h"

#include <string.h>

#include "common/mem.h"
#include "test/unit/unit.h"

/* A letter for each parameter, in the order of the enum. */
static const char letters[] = "uldpcsw";

static const struct {
	const char *query, *text, *parameters;
} good[] = {
	{ "SELECT p FROM t WHERE u=:user", "SELECT p FROM t WHERE u=?", "u" },
	{ ":user", "?", "u" },
	{ ":user:local:domain:protocol:client:server:password", "??????CAST(? AS BINARY)", "uldpcsw" },
	{ "WHERE l=:local AND d=:domain OR l=:local", "WHERE l=? AND d=? OR l=?", "ldl" },
	{ "SELECT 1\n\tWHERE u=:user\n", "SELECT 1  WHERE u=? ", "u" },
	/* ends */
	{ "SELECT :user;", "SELECT ?", "u" },
	{ "SELECT :user;-- done\n", "SELECT ?", "u" },
	{ "SELECT :user ; \n-- done; with :it\n/* all */ # of it", "SELECT ? ", "u" },
	/* quotes */
	{ "SELECT ':user', \":local\", `:domain` = :user", "SELECT ':user', \":local\", `:domain` = ?", "u" },
	{ "'it''s :x', :user", "'it''s :x', ?", "u" },
	{ "'it\\'s :x', :user", "'it\\'s :x', ?", "u" },
	{ "\"a\\\\\", :user", "\"a\\\\\", ?", "u" },
	{ "\"a\"\":x\", :user", "\"a\"\":x\", ?", "u" },
	{ "`a\\`, :user", "`a\\`, ?", "u" },
	{ "'?;--#/*', :user", "'?;--#/*', ?", "u" },
	{ "'\xc3\xa9', :user", "'\xc3\xa9', ?", "u" },
	/* comments */
	{ "SELECT 1 -- :nobody's\n, :user", "SELECT 1   , ?", "u" },
	{ "SELECT 1 --\n, :user", "SELECT 1   , ?", "u" },
	{ "SELECT 1 # :nobody's; ?\n, :user", "SELECT 1   , ?", "u" },
	{ "SELECT /* :nobody's; ? */ :user", "SELECT   ?", "u" },
	{ "SELECT/**/:user", "SELECT ?", "u" },
	{ "SELECT 1-/* minus */-2, :user", "SELECT 1- -2, ?", "u" },
	{ "SELECT 1-#\n2, :user", "SELECT 1-  2, ?", "u" },
	{ "SELECT /*+ A(:x)\n B */ :user", "SELECT /*+ A(:x)  B */ ?", "u" },
	{ "SELECT 4*/**/2, :user--", "SELECT 4* 2, ? ", "u" },
	/* no parameters */
	{ "SELECT @a:=1, @b:=:user", "SELECT @a:=1, @b:=?", "u" },
	{ "SELECT a::user, ::local, :user", "SELECT a::user, ::local, ?", "u" },
	{ "SELECT a: user, 1:2, :user", "SELECT a: user, 1:2, ?", "u" },
	{ "SELECT ::::user, :user", "SELECT ::::user, ?", "u" },
};

START_TEST(names_become_marks_and_a_list)
{
	struct sqlquery query;
	const char *why = sqlquery_parse(&query, good[_i].query);

	ck_assert_msg(why == NULL, "%s: %s", good[_i].query, why);
	ck_assert_str_eq(query.text, good[_i].text);
	ck_assert_uint_eq(query.count, strlen(good[_i].parameters));
	for (size_t i = 0; i < query.count; i++)
		ck_assert_int_eq(letters[query.parameters[i]], good[_i].parameters[i]);
	for (unsigned p = 0; p < SQLQUERY_NAMES; p++)
		ck_assert(sqlquery_uses(&query, (enum sqlquery_parameter)p) ==
		    (strchr(good[_i].parameters, letters[p]) != NULL));
	sqlquery_reset(&query);
	ck_assert_ptr_null(query.text);
}
END_TEST

START_TEST(on_one_line_a_query_means_the_same)
{
	char *line = sqlquery_one_line(good[_i].query), *again = sqlquery_one_line(line);
	struct sqlquery query;

	ck_assert_ptr_null(strchr(line, '\n'));
	ck_assert_str_eq(line, again);
	ck_assert_ptr_null(sqlquery_parse(&query, line));
	ck_assert_str_eq(query.text, good[_i].text);
	sqlquery_reset(&query);
	mem_free(again);
	mem_free(line);
}
END_TEST

#define UNKNOWN "unknown parameter; there are :user, :local, :domain, :protocol, :client, :server and :password"

static const struct {
	const char *query, *why;
} bad[] = {
	{ "", "the query asks for neither :user nor :local" },
	{ "SELECT 1", "the query asks for neither :user nor :local" },
	{ "SELECT p FROM t WHERE d=:domain AND p=:password", "the query asks for neither :user nor :local" },
	{ "SELECT ':user' /* :local */", "the query asks for neither :user nor :local" },
	{ "SELECT :user, :who", UNKNOWN },
	{ "SELECT :users", UNKNOWN },
	{ "SELECT :user2", UNKNOWN },
	{ "SELECT :User", UNKNOWN },
	{ "SELECT :use", UNKNOWN },
	{ "SELECT ?, :user", "\"?\" in the query; parameters have names" },
	{ "SELECT :user; SELECT 1", "more than one statement" },
	{ "SELECT :user;;", "more than one statement" },
	{ "SELECT 1; :user", "more than one statement" },
	{ "SELECT :user; 'x'", "more than one statement" },
	{ "SELECT :user, 'x", "a quote is not closed" },
	{ "SELECT :user, 'x\\'", "a quote is not closed" },
	{ "SELECT :user, 'x\\", "a quote is not closed" },
	{ "SELECT :user, \"x''", "a quote is not closed" },
	{ "SELECT :user, `x\"", "a quote is not closed" },
	{ "SELECT :user, 'x\ny'", "control character in quotes" },
	{ "SELECT :user, 'x\\\ny'", "control character in quotes" },
	{ "SELECT 1--2, :user", "no blank behind \"--\"" },
	{ "SELECT :user--;", "no blank behind \"--\"" },
	{ "SELECT :user /* x", "a comment is not closed" },
	{ "SELECT :user /*/", "a comment is not closed" },
	{ "SELECT 1 /*!, :user */", "a comment that the server would execute" },
	{ "SELECT 1 /*M! , :user */", "a comment that the server would execute" },
	{ "SELECT :user \x01", "control character in the query" },
	{ "SELECT :user \x7f", "control character in the query" },
};

START_TEST(what_cannot_be_meant_is_refused)
{
	struct sqlquery query;
	const char *why = sqlquery_parse(&query, bad[_i].query);

	ck_assert_msg(why != NULL, "%s is taken", bad[_i].query);
	ck_assert_str_eq(why, bad[_i].why);
	ck_assert(query.text == NULL && query.count == 0);
	ck_assert_ptr_null(sqlquery_one_line(bad[_i].query));
}
END_TEST

/* Cut anywhere, the text in front reads as far as it goes, and no byte behind it is touched. */
START_TEST(a_query_may_end_anywhere)
{
	size_t whole = strlen(good[_i].query);

	for (size_t len = 0; len < whole; len++) {
		char *text = mem_strndup(good[_i].query, len);
		struct sqlquery query;

		if (sqlquery_parse(&query, text) == NULL)
			ck_assert_uint_le(query.count, strlen(good[_i].parameters));
		sqlquery_reset(&query);
		mem_free(text);
	}
}
END_TEST

static char *
repeat(const char *text, size_t count)
{
	size_t len = strlen(text);
	char *all = mem_alloc(count * len + 1);

	for (size_t i = 0; i < count; i++)
		memcpy(all + i * len, text, len);
	return all;
}

START_TEST(parameters_and_bytes_have_a_limit)
{
	struct sqlquery query;
	char *most = repeat(":user,", SQLQUERY_PARAMETERS_MAX), *more = repeat(":user,", SQLQUERY_PARAMETERS_MAX + 1);
	char *longest = repeat("#", SQLQUERY_MAX), *longer = repeat(" ", SQLQUERY_MAX + 1);

	ck_assert_ptr_null(sqlquery_parse(&query, most));
	sqlquery_reset(&query);
	ck_assert_str_eq(sqlquery_parse(&query, more), "too many parameters");
	memcpy(longest, ":user", 5);
	ck_assert_ptr_null(sqlquery_parse(&query, longest));
	sqlquery_reset(&query);
	ck_assert_str_eq(sqlquery_parse(&query, longer), "the query is too long");
	mem_free(most);
	mem_free(more);
	mem_free(longest);
	mem_free(longer);
}
END_TEST

Suite *
sqlquery_suite(void)
{
	Suite *suite = suite_create("sqlquery");
	TCase *tcase = tcase_create("sqlquery");

	suite_add_tcase(suite, tcase);
	tcase_add_loop_test(tcase, names_become_marks_and_a_list, 0, UNIT_COUNT(good));
	tcase_add_loop_test(tcase, on_one_line_a_query_means_the_same, 0, UNIT_COUNT(good));
	tcase_add_loop_test(tcase, what_cannot_be_meant_is_refused, 0, UNIT_COUNT(bad));
	tcase_add_loop_test(tcase, a_query_may_end_anywhere, 0, UNIT_COUNT(good));
	tcase_add_test(tcase, parameters_and_bytes_have_a_limit);
	return suite;
}
