#include "worker/proto/proto.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"

void
credentials_reset(struct credentials *c)
{
	mem_free_secret(&c->user);
	mem_free_secret(&c->pass);
	mem_free_secret(&c->authz);
	mem_free_secret(&c->helo);
	mem_free_secret(&c->mail);
	mem_free_secret(&c->rcpt);
	c->method = 0;
}

bool
client_count_command(struct client *client)
{
	if (++client->commands <= client->facts->server->max_commands)
		return true;
	note_set(client->note, "client sent too many commands");
	return false;
}

bool
client_count_error(struct client *client)
{
	if (++client->errors <= client->facts->server->max_errors)
		return true;
	note_set(client->note, "client sent too many invalid commands");
	return false;
}

void
note_set(char note[PROTO_NOTE], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(note, PROTO_NOTE, format, args);
	va_end(args);
}

void
note_upstream(struct login *login, const char *event, const char *line, size_t len)
{
	const char *pass = login->task->credentials->pass;
	char excerpt[PROTO_NOTE - 64];

	/* Some backends repeat a command that they did not understand. */
	if (pass != NULL && *pass != '\0' && memmem(line, len, pass, strlen(pass)) != NULL)
		note_set(login->note, "upstream sent %s: it holds the password", event);
	else
		note_set(login->note, "upstream sent %s: \"%s\"", event, log_text(excerpt, sizeof(excerpt), line, len));
}
