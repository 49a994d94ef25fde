/* doctor_print.c - the output of weir-doctor, as text and as JSON */
#include "doctor.h"

#include "../lib/json.h"
#include "../lib/rungs.h"

enum {
	NAME_COLUMNS = 22,
	STATE_COLUMNS = 11,
	FACT_COLUMNS = 32,
};

enum paint { PAINT_NONE, PAINT_GOOD, PAINT_DIM, PAINT_WARN, PAINT_BAD };

static const char *const paint_codes[] = {
	[PAINT_NONE] = "",          [PAINT_GOOD] = "\033[32m",
	[PAINT_DIM] = "\033[2m",    [PAINT_WARN] = "\033[33m",
	[PAINT_BAD] = "\033[1;31m",
};

/* Where to print, and whether in colour. */
struct pen {
	FILE *file;
	bool has_color;
};

/* @text, padded to @columns; colour codes take no columns. */
static void pen_word(const struct pen *pen, enum paint paint, int columns,
		     const char *text)
{
	const bool paints = pen->has_color && paint != PAINT_NONE;
	(void)fprintf(pen->file, "%s%-*s%s", paints ? paint_codes[paint] : "",
		      columns, text, paints ? "\033[0m" : "");
}

static void pen_detail(const struct pen *pen, int column, const char *label,
		       const char *text)
{
	(void)fprintf(pen->file, "%*s%s: %s\n", column, "", label, text);
}

static enum paint rung_paint(const struct weir_rung *rung)
{
	if (rung->state == WEIR_RUNG_ON)
		return PAINT_GOOD;
	if (rung->role == WEIR_ROLE_REQUIRED)
		return PAINT_BAD;
	return rung->role == WEIR_ROLE_USED ? PAINT_WARN : PAINT_DIM;
}

static void print_rung(const struct pen *pen, const struct weir_rung *rung)
{
	const int column = 2 + STATE_COLUMNS + 1;

	(void)fputs("  ", pen->file);
	pen_word(pen, rung_paint(rung), STATE_COLUMNS,
		 weir_rung_state_name(rung->state));
	(void)fputc(' ', pen->file);
	pen_word(pen, PAINT_NONE, NAME_COLUMNS, rung->name);
	(void)fprintf(pen->file, " %-8s  %s\n", rungs_role_name(rung->role),
		      rung->what);
	if (rung->state == WEIR_RUNG_ON)
		return;
	pen_detail(pen, column, "cause", rung->cause);
	pen_detail(pen, column, "costs", rung->costs);
	pen_detail(pen, column, "remedy", rung->remedy);
}

static const struct {
	const char *name;
	enum paint paint;
} verdicts[] = {
	[DOCTOR_OK] = { "ok", PAINT_GOOD },
	[DOCTOR_INFO] = { "info", PAINT_DIM },
	[DOCTOR_LOW] = { "low", PAINT_WARN },
	[DOCTOR_BAD] = { "bad", PAINT_BAD },
};

static void print_fact(const struct pen *pen, const struct doctor_fact *fact)
{
	const int column = 2 + STATE_COLUMNS + 1;

	(void)fputs("  ", pen->file);
	pen_word(pen, verdicts[fact->verdict].paint, STATE_COLUMNS,
		 verdicts[fact->verdict].name);
	(void)fputc(' ', pen->file);
	pen_word(pen, PAINT_NONE, FACT_COLUMNS, fact->name);
	(void)fprintf(pen->file, " %s\n", fact->value);
	pen_detail(pen, column, "wanted", fact->wanted);
	pen_detail(pen, column, "why", fact->why);
	if (fact->verdict == DOCTOR_LOW || fact->verdict == DOCTOR_BAD)
		pen_detail(pen, column, "remedy", fact->remedy);
}

static int rungs_on(const struct doctor *doctor)
{
	int count = 0;
	for (int i = 0; i < WEIR_RUNG_COUNT; i++)
		count += doctor->rungs[i].state == WEIR_RUNG_ON;
	return count;
}

void doctor_print(const struct doctor *doctor, bool has_color, FILE *file)
{
	const struct pen pen = { .file = file, .has_color = has_color };

	pen_word(&pen, doctor->can_run ? PAINT_GOOD : PAINT_BAD, 0,
		 doctor->can_run ? "weir can run here"
				 : "weir cannot run here");
	(void)fprintf(file, ": %d of %d rungs are on\n\nThe ladder\n",
		      rungs_on(doctor), WEIR_RUNG_COUNT);
	for (int i = 0; i < WEIR_RUNG_COUNT; i++)
		print_rung(&pen, &doctor->rungs[i]);
	(void)fprintf(file, "\nThe host\n");
	for (int i = 0; i < doctor->fact_count; i++)
		print_fact(&pen, &doctor->facts[i]);
}

void doctor_json(const struct doctor *doctor, FILE *file)
{
	struct json json = { .file = file };

	json_object_open(&json, NULL);
	json_text(&json, "tool", "weir-doctor");
	json_text(&json, "version", TOOLS_VERSION);
	json_bool(&json, "can_run", doctor->can_run);
	json_u64(&json, "rungs_on", (uint64_t)rungs_on(doctor));
	rungs_json(&json, doctor->rungs);
	json_array_open(&json, "host");
	for (int i = 0; i < doctor->fact_count; i++) {
		const struct doctor_fact *fact = &doctor->facts[i];
		json_object_open(&json, NULL);
		json_text(&json, "name", fact->name);
		json_text(&json, "verdict", verdicts[fact->verdict].name);
		json_text(&json, "value", fact->value);
		json_text(&json, "wanted", fact->wanted);
		json_text(&json, "why", fact->why);
		json_text(&json, "remedy", fact->remedy);
		json_object_close(&json);
	}
	json_array_close(&json);
	json_object_close(&json);
}
