/* story_echo.c - a loop echoes what its peers send
 *
 * Under any schedule, a healthy peer receives all that it sent.
 */
#include "story_priv.h"

void story_echo(struct sim_run *run)
{
	const struct weir_loop_opts opts = run_draw_loop(run);
	if (!run_open(run, &opts, &echo_handlers, run))
		return;
	peers_start(run);
	run_faults(run);
	run_two_phases(run);
	run_end(run);
}
