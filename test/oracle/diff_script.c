/* diff_script.c - scripts: from text, to text, from a tape */
#include "diff.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const char letters[DIFF_WHAT_COUNT] = {
	[DIFF_CONNECT] = 'c', [DIFF_WRITE] = 'w',  [DIFF_READ] = 'r',
	[DIFF_FIN] = 'f',     [DIFF_RST] = 'x',    [DIFF_HANG_UP] = 'h',
	[DIFF_PAUSE] = 'p',   [DIFF_SETTLE] = '.', [DIFF_STOP] = 's',
};

static enum diff_what letter_what(char letter)
{
	for (int i = 0; i < DIFF_WHAT_COUNT; i++)
		if (letters[i] == letter)
			return (enum diff_what)i;
	assert(!"an action has this letter");
	return DIFF_SETTLE;
}

static void script_add(struct diff_script *script, enum diff_what what,
		       uint32_t conn, uint32_t amount)
{
	assert(script->action_count < DIFF_ACTIONS && conn < DIFF_CONNS);
	script->actions[script->action_count++] = (struct diff_action){
		.what = what,
		.conn = conn,
		.amount = amount,
	};
}

void diff_parse(struct diff_script *script, const char *text)
{
	script->action_count = 0;
	while (*text != '\0') {
		uint32_t conn = 0;
		uint32_t amount = 0;
		if (*text == ' ') {
			text++;
			continue;
		}
		if (text[1] == ':') {
			conn = (uint32_t)(text[0] - '0');
			text += 2;
		}
		const enum diff_what what = letter_what(*text++);
		while (*text >= '0' && *text <= '9')
			amount = amount * 10 + (uint32_t)(*text++ - '0');
		script_add(script, what, conn, amount);
	}
}

char *diff_print(const struct diff_script *script, char *out_text)
{
	static const char *const thens[] = { "go on", "close", "abort",
					     "refuse" };
	const struct diff_reaction *reaction = &script->reaction;
	FILE *out = fmemopen(out_text, DIFF_TEXT_BYTES, "w");

	assert(out != NULL);
	(void)fprintf(
		out,
		"handler: greets %u%s, frames of %u, pauses at %u, at %u: %s;",
		reaction->greet_bytes, reaction->is_mute ? ", mute" : "",
		reaction->frame_bytes, reaction->high_bytes, reaction->at_bytes,
		thens[reaction->then]);
	for (uint32_t i = 0; i < script->action_count; i++) {
		const struct diff_action *action = &script->actions[i];
		(void)fputc(' ', out);
		if (action->conn != 0)
			(void)fprintf(out, "%u:", action->conn);
		(void)fputc(letters[action->what], out);
		if (action->amount != 0)
			(void)fprintf(out, "%u", action->amount);
	}
	(void)fclose(out);
	return out_text;
}

/* ---- from a tape --------------------------------------------------------- */

/* Pauses of this many ms in total stay far below every deadline. */
enum { BYTES_MAX = 300, GREET_MAX = 200, PAUSE_MS = 400, PAUSES = 4 };

/* The state of a client at this point of the script. */
struct drawn {
	bool is_open;
	bool is_finished; /* it has sent FIN */
	bool was_open;
};

static void draw_reaction(struct diff_reaction *reaction,
			  struct weir_tape *tape)
{
	*reaction = (struct diff_reaction){ .greet_bytes = 0 };
	if (weir_tape_below(tape, 4) == 1)
		reaction->greet_bytes = 1 + weir_tape_below(tape, GREET_MAX);
	reaction->is_mute = weir_tape_below(tape, 4) == 1;
	if (weir_tape_below(tape, 4) == 1)
		reaction->frame_bytes = 2 + weir_tape_below(tape, 20);
	if (weir_tape_below(tape, 2) == 1)
		reaction->then = (enum diff_then)(1 + weir_tape_below(tape, 3));
	reaction->at_bytes = weir_tape_below(tape, 200);
	if (weir_tape_below(tape, 4) == 1)
		reaction->high_bytes = 1 + weir_tape_below(tape, 200);
}

static void draw_action(struct diff_script *script, struct weir_tape *tape,
			struct drawn *drawn, uint32_t conn)
{
	if (!drawn->is_open) {
		if (drawn->was_open)
			return;
		drawn->is_open = true;
		drawn->was_open = true;
		script_add(script, DIFF_CONNECT, conn, 0);
		return;
	}
	switch (weir_tape_below(tape, 12)) {
	case 5:
	case 6:
	case 7:
		script_add(script, DIFF_READ, conn, 0);
		break;
	case 8:
		if (!drawn->is_finished)
			script_add(script, DIFF_FIN, conn, 0);
		drawn->is_finished = true;
		break;
	case 9:
		script_add(script, DIFF_RST, conn, 0);
		drawn->is_open = false;
		break;
	case 10:
		script_add(script, DIFF_HANG_UP, conn, 0);
		drawn->is_open = false;
		break;
	case 11:
		script_add(script, DIFF_SETTLE, 0, 0);
		script_add(script, DIFF_PAUSE, 0,
			   PAUSE_MS * (1 + weir_tape_below(tape, PAUSES)));
		break;
	default:
		if (!drawn->is_finished)
			script_add(script, DIFF_WRITE, conn,
				   1 + weir_tape_below(tape, BYTES_MAX));
		break;
	}
}

void diff_draw(struct diff_script *script, struct weir_tape *tape)
{
	struct drawn drawn[DIFF_CONNS] = { { .is_open = false } };
	const uint32_t conns = 1 + weir_tape_below(tape, DIFF_CONNS);
	const uint32_t count = 4 + weir_tape_below(tape, 16);

	script->action_count = 0;
	draw_reaction(&script->reaction, tape);
	for (uint32_t i = 0; i < count; i++) {
		const uint32_t conn = weir_tape_below(tape, conns);
		draw_action(script, tape, &drawn[conn], conn);
		if (weir_tape_below(tape, 8) != 7)
			script_add(script, DIFF_SETTLE, 0, 0);
	}
	if (weir_tape_below(tape, 4) == 1)
		script_add(script, DIFF_STOP, 0, 0);
}
