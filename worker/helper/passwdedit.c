#include "worker/helper/passwdedit.h"

#include <string.h>

#include "common/mem.h"
#include "common/must.h"
#include "worker/helper/passwdline.h"

#define FIELDS 8        /* of a line; the last, the keys, runs to its end */
#define SECRET 1
#define KEYS 7

/* A piece of the text; NULL: not there. */
struct piece {
	const char *text;
	size_t len;
};

/* A line, and how many bytes end it. */
struct place {
	struct piece line;
	size_t end_len;
};

static void
put_bytes(struct buf *out, const char *bytes, size_t len)
{
	MUST(buf_add(out, bytes, len) == 0);
}

static void
put_text(struct buf *out, const char *text)
{
	put_bytes(out, text, strlen(text));
}

static void
put(struct buf *out, const struct piece *piece)
{
	put_bytes(out, piece->text, piece->len);
}

static bool
has_control(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	return false;
}

static bool
is_word(const struct piece *piece, const char *word)
{
	return piece->len == strlen(word) && memcmp(piece->text, word, piece->len) == 0;
}

/* Takes the next piece up to `separator` off the front of `rest`; false when nothing is left. */
static bool
take(struct piece *rest, char separator, struct piece *piece)
{
	const char *end;

	*piece = *rest;
	if (rest->text == NULL)
		return false;
	end = memchr(rest->text, separator, rest->len);
	if (end == NULL) {
		*rest = (struct piece){ NULL, 0 };
		return true;
	}
	piece->len = (size_t)(end - rest->text);
	rest->text += piece->len + 1;
	rest->len -= piece->len + 1;
	return true;
}

static void
split(struct piece field[FIELDS], const struct piece *line)
{
	struct piece rest = *line;

	for (size_t i = 0; i < FIELDS - 1; i++)
		take(&rest, ':', &field[i]);
	field[FIELDS - 1] = rest;
}

static void
next_line(const char *text, size_t len, struct place *place)
{
	const char *end = memchr(text, '\n', len);

	*place = (struct place){ { text, end != NULL ? (size_t)(end - text) : len }, end != NULL };
	if (place->line.len > 0 && text[place->line.len - 1] == '\r') {
		place->line.len--;
		place->end_len++;
	}
}

/* The place of the user's line; false leaves the end of the text. */
static bool
seek(const char *text, size_t len, const char *user, struct place *place)
{
	const char *end = text + len;

	for (; text < end; text = place->line.text + place->line.len + place->end_len) {
		struct piece rest, name;

		next_line(text, (size_t)(end - text), place);
		rest = place->line;
		if (rest.len > 0 && rest.text[0] != '#' && take(&rest, ':', &name) && is_word(&name, user))
			return true;
	}
	*place = (struct place){ { end, 0 }, 0 };
	return false;
}

bool
passwdedit_find(const char *text, size_t len, const char *user, const char **line, size_t *line_len)
{
	struct place place;

	if (!seek(text, len, user, &place))
		return false;
	*line = place.line.text;
	*line_len = place.line.len;
	return true;
}

static const char *
judge_user(const char *user)
{
	if (user[0] == '\0')
		return "no user name";
	if (strlen(user) > PASSWDLINE_USER_MAX)
		return "user name too long";
	if (user[0] == '#')
		return "a user name cannot begin with \"#\"";
	if (strchr(user, ':') != NULL || has_control(user))
		return "a user name cannot hold colons or control characters";
	return NULL;
}

static const char *
judge_key(const struct passwdedit_key *key)
{
	if (key->name[0] == '\0' || strpbrk(key->name, " =:") != NULL || has_control(key->name))
		return "not the name of a key";
	if (key->value != NULL && (strchr(key->value, ' ') != NULL || has_control(key->value)))
		return "the value of a key cannot hold blanks or control characters";
	return NULL;
}

static const char *
judge(const struct passwdedit *edit)
{
	const char *why = judge_user(edit->user);

	for (size_t i = 0; i < edit->key_count && why == NULL; i++)
		why = judge_key(&edit->keys[i]);
	if (why == NULL && edit->secret != NULL && (strchr(edit->secret, ':') != NULL || has_control(edit->secret)))
		why = "a stored password cannot hold colons or control characters";
	return why;
}

/* Takes the lock away. */
static struct piece
unlocked(const struct piece *secret)
{
	struct piece rest = *secret;

	for (; rest.len > 0 && rest.text[0] == '!'; rest.len--)
		rest.text++;
	return rest;
}

static const char *
judge_place(const struct passwdedit *edit, const struct place *place, bool found)
{
	struct piece field[FIELDS], secret;

	if (edit->verb == PASSWDEDIT_ADD)
		return found ? "the user is there already" : NULL;
	if (!found)
		return "unknown user";
	split(field, &place->line);
	secret = unlocked(&field[SECRET]);
	if (edit->verb == PASSWDEDIT_UNLOCK && (secret.len == 0 || is_word(&secret, "*")))
		return "the user has no password to unlock";
	if (edit->key_count > 0 && field[KEYS].len > 0 && field[KEYS].text[0] == ':')
		return "the user's line is of an old form that has no place for keys";
	return NULL;
}

static void
put_secret(struct buf *out, const struct passwdedit *edit, const struct piece *old)
{
	bool was_locked = old->len > 0 && old->text[0] == '!';
	struct piece kept = edit->verb == PASSWDEDIT_UNLOCK || edit->secret != NULL ? unlocked(old) : *old;

	if (edit->verb == PASSWDEDIT_LOCK ? !was_locked : was_locked && edit->secret != NULL)
		put_text(out, "!");
	if (edit->secret != NULL)
		put_text(out, edit->secret);
	else
		put(out, &kept);
}

static void
put_key(struct buf *out, const struct passwdedit_key *key)
{
	put_text(out, key->name);
	if (key->value[0] != '\0')
		put_text(out, "=");
	for (const char *at = key->value; *at != '\0'; at++)
		put_bytes(out, *at == '%' ? "%%" : at, *at == '%' ? 2 : 1);
}

/* What is asked of the key that this word has: its index, or key_count for nothing. Of two the last is meant. */
static size_t
change_of(const struct passwdedit *edit, struct piece word)
{
	struct piece name;

	take(&word, '=', &name);
	for (size_t i = edit->key_count; i-- > 0;)
		if (is_word(&name, edit->keys[i].name))
			return i;
	return edit->key_count;
}

/* The old words with the changed ones in their places, blanks as they were. */
static void
put_old_keys(struct buf *out, const struct passwdedit *edit, struct piece words, bool done[])
{
	struct piece word;
	const char *before = "";

	while (take(&words, ' ', &word)) {
		size_t i = change_of(edit, word);
		bool stays = i == edit->key_count;

		if (!stays && (edit->keys[i].value == NULL || done[i]))
			continue;
		put_text(out, before);
		before = " ";
		done[i] = true;
		if (stays)
			put(out, &word);
		else
			put_key(out, &edit->keys[i]);
	}
}

static void
put_keys(struct buf *out, const struct passwdedit *edit, const struct piece *old)
{
	bool *done = mem_array(edit->key_count + 1, sizeof(*done));     /* the last is for words that stay */
	size_t begin = out->len;

	put_old_keys(out, edit, *old, done);
	for (size_t i = 0; i < edit->key_count; i++) {
		const struct passwdedit_key *key = &edit->keys[i];
		const struct piece name = { key->name, strlen(key->name) };

		if (key->value == NULL || done[i] || change_of(edit, name) != i)
			continue;
		if (out->len > begin && buf_head(out)[out->len - 1] != ' ')
			put_text(out, " ");
		put_key(out, key);
	}
	mem_free(done);
}

static bool
sets_keys(const struct passwdedit *edit)
{
	for (size_t i = 0; i < edit->key_count; i++)
		if (edit->keys[i].value != NULL)
			return true;
	return false;
}

/* The user's line as it shall be, without an end: fields that are not there come in only before keys. */
static void
put_line(struct buf *out, const struct passwdedit *edit, const struct piece *line)
{
	struct piece field[FIELDS];
	bool has_keys;

	split(field, line);
	has_keys = field[KEYS].text != NULL || sets_keys(edit);
	put_text(out, edit->user);
	put_text(out, ":");
	put_secret(out, edit, &field[SECRET]);
	for (size_t i = SECRET + 1; i < KEYS && (field[i].text != NULL || has_keys); i++) {
		put_text(out, ":");
		put(out, &field[i]);
	}
	if (has_keys) {
		put_text(out, ":");
		put_keys(out, edit, &field[KEYS]);
	}
}

/* How lines end here: as the first one does. */
static const char *
line_end(const char *text, size_t len)
{
	struct place first;

	next_line(text, len, &first);
	return first.end_len == 2 ? "\r\n" : "\n";
}

const char *
passwdedit_apply(const struct passwdedit *edit, const char *text, size_t len, struct buf *out)
{
	const char *why = judge(edit), *rest;
	struct place place;
	bool found;

	if (why != NULL)
		return why;
	found = seek(text, len, edit->user, &place);
	if ((why = judge_place(edit, &place, found)) != NULL)
		return why;
	put_bytes(out, text, (size_t)(place.line.text - text));
	if (edit->verb == PASSWDEDIT_ADD && len > 0 && text[len - 1] != '\n')
		put_text(out, line_end(text, len));
	rest = place.line.text + place.line.len;
	if (edit->verb == PASSWDEDIT_DELETE)
		rest += place.end_len;
	else
		put_line(out, edit, &place.line);
	if (edit->verb == PASSWDEDIT_ADD)
		put_text(out, line_end(text, len));
	put_bytes(out, rest, (size_t)(text + len - rest));
	return NULL;
}
