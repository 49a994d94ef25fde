/* conn_input.c - from received bytes to the handler
 *
 *     buffer of the kernel --- shown in place --------------> on_data
 *              |                                                ^
 *              +--- what on_data left ---> stash --- shown -----+
 *
 * A message that is whole in a buffer is never copied. The start of an
 * incomplete one is kept, and gets no more bytes than it is known to need, so
 * that what follows is shown in place again.
 */
#include "../../uring/mutant.h"
#include "../core/min.h"
#include "conn_priv.h"

#include <errno.h>

/* One call of on_data. Returns how many bytes were used. */
static uint32_t input_show(struct weir_conn *conn, const uint8_t *bytes,
			   uint32_t byte_count)
{
	const struct wi_service *service = conn->service;

	conn->need_bytes = 0;
	if (service->handlers.on_data == NULL)
		return byte_count;
	conn->in_handler = true;
	ssize_t used = service->handlers.on_data(conn, bytes, byte_count,
						 service->ctx);
	conn->in_handler = false;
	if (used < 0) {
		(void)weir_conn_refuse(conn, (int)used, 0, 0);
		return byte_count;
	}
	assert((size_t)used <= byte_count);
	return (uint32_t)used;
}

/* One message, and what may still arrive after reading was paused: all buffers
 * twice, once in the batch that is being reaped and once in the enter that
 * cancels the receive. One busy peer can fill every buffer of a long batch. */
static size_t input_limit(const struct weir_conn *conn)
{
	const struct weir_bufring *bufring = &wi_conn_core(conn)->bufs.bufring;
	const struct wi_service *service = conn->service;
	const size_t buffers = (size_t)bufring->buf_count * bufring->buf_bytes;
	const size_t limit = service->message_bytes_max + 2 * buffers;
	return limit < WI_BLOCK_BYTES_MAX ? limit : WI_BLOCK_BYTES_MAX;
}

/* What fits into the stash's present block may always be kept. */
static bool input_may_keep(const struct weir_conn *conn, uint32_t byte_count)
{
	const size_t held = (size_t)wi_stash_count(&conn->stash) + byte_count;
	return wi_stash_has_room(&conn->stash, byte_count) ||
	       wi_conn_may_hold(conn, held, held,
				conn->is_paused ? WI_HOLD_PAUSED_16
						: WI_HOLD_INPUT_16);
}

/* Return: whether the connection is still open. */
static bool input_keep(struct weir_conn *conn, const uint8_t *bytes,
		       uint32_t byte_count)
{
	struct wi_core *core = wi_conn_core(conn);
	const struct wi_service *service = conn->service;
	const size_t held = (size_t)wi_stash_count(&conn->stash) + byte_count;

	if (byte_count == 0)
		return true;
	if (held > input_limit(conn)) {
		wi_conn_reason_set(conn, WEIR_CLOSE_MESSAGE_LIMIT, -EMSGSIZE,
				   held, service->message_bytes_max);
		wi_conn_drain(conn, WEIR_CLOSE_MESSAGE_LIMIT);
		return false;
	}
	if (!input_may_keep(conn, byte_count) ||
	    wi_stash_append(&conn->stash, &core->blocks, bytes, byte_count,
			    conn->need_bytes) < 0) {
		wi_counter_add(&core->stats.block_failures, 1);
		wi_conn_drain(conn, WEIR_CLOSE_MEMORY);
		return false;
	}
	wi_counter_add(&core->stats.stash_bytes, byte_count);
	conn->has_input = true;
	return true;
}

/* Shows the kept input, if it is as much as the handler needs. */
static void input_show_kept(struct weir_conn *conn)
{
	struct wi_core *core = wi_conn_core(conn);
	const struct wi_service *service = conn->service;
	struct wi_stash *stash = &conn->stash;
	uint32_t held = wi_stash_count(stash);
	if (held == 0 || held < conn->need_bytes)
		return;

	uint32_t used = input_show(conn, stash->bytes + stash->begin, held);
	if (conn->state != WEIR_CONN_OPEN) {
		wi_stash_clear(stash, &core->blocks);
		conn->has_input = false;
		return;
	}
	wi_stash_use(stash, &core->blocks, used);
	conn->has_input = stash->bytes != NULL;
	if (used == 0 && !conn->is_paused &&
	    held > service->message_bytes_max) {
		wi_conn_reason_set(conn, WEIR_CLOSE_MESSAGE_LIMIT, -EMSGSIZE,
				   held, service->message_bytes_max);
		wi_conn_drain(conn, WEIR_CLOSE_MESSAGE_LIMIT);
	}
}

/* Shows a span in place and keeps what is left of it. */
static void input_in_place(struct weir_conn *conn, const uint8_t *bytes,
			   uint32_t byte_count)
{
	uint32_t used = 0;
	if (byte_count >= conn->need_bytes)
		used = input_show(conn, bytes, byte_count);
	if (conn->state == WEIR_CONN_OPEN)
		(void)WI_MUTANT(
			"kept-input-is-forgotten",
			input_keep(conn, bytes + used, byte_count - used),
			true);
}

/* There is kept input, or reading is paused: show the bytes in order. */
static void input_behind(struct weir_conn *conn, const uint8_t *bytes,
			 uint32_t byte_count)
{
	while (byte_count > 0 && conn->state == WEIR_CONN_OPEN) {
		uint32_t held = wi_stash_count(&conn->stash);
		uint32_t take = byte_count;
		if (held == 0 && !conn->is_paused) {
			input_in_place(conn, bytes, byte_count);
			return;
		}
		if (!conn->is_paused && conn->need_bytes > held)
			take = wi_min_u32(byte_count, conn->need_bytes - held);
		if (!input_keep(conn, bytes, take))
			return;
		bytes += take;
		byte_count -= take;
		if (!conn->is_paused)
			input_show_kept(conn);
	}
}

void wi_conn_input(struct weir_conn *conn, const uint8_t *bytes,
		   uint32_t byte_count)
{
	struct wi_core *core = wi_conn_core(conn);

	if (conn->touched_tick != core->clock.now_tick)
		wi_batching_active(&core->batching);
	conn->touched_tick = core->clock.now_tick;
	if (conn->alive != WI_ALIVE_HEARD && conn->state == WEIR_CONN_OPEN) {
		wi_alive_set(conn, WI_ALIVE_HEARD);
		wi_conn_timer_set(conn);
	}
	if (conn->state != WEIR_CONN_OPEN)
		wi_counter_add(&core->stats.recv_discarded_bytes, byte_count);
	else if (WI_MUTANT("kept-input-comes-late", !conn->has_input, true) &&
		 !conn->is_paused)
		input_in_place(conn, bytes, byte_count);
	else
		input_behind(conn, bytes, byte_count);
}

/* The peer has sent its FIN. wi_conn_resume() shows kept input first. */
static void input_finish(struct weir_conn *conn)
{
	if (conn->state != WEIR_CONN_OPEN ||
	    WI_MUTANT("paused-is-shown-all-the-same", conn->is_paused, false))
		return;
	wi_conn_reason_set(conn, WEIR_CLOSE_PEER, 0,
			   wi_stash_count(&conn->stash), 0);
	wi_conn_drain(conn, WEIR_CLOSE_PEER);
}

void wi_conn_input_end(struct weir_conn *conn)
{
	wi_recv_set(conn, WI_RECV_ENDED);
	input_finish(conn);
}

void wi_conn_resume(struct weir_conn *conn)
{
	struct wi_core *core = wi_conn_core(conn);
	const struct wi_service *service = conn->service;

	assert(conn->state == WEIR_CONN_OPEN);
	assert(conn->is_paused);
	conn->is_paused = false;
	if (conn->recv == WI_RECV_UNWANTED && !conn->last_look)
		wi_recv_set(conn, WI_RECV_ARMED);
	if (WI_MUTANT("on-drain-never-comes",
		      service->handlers.on_writable != NULL, false)) {
		conn->in_handler = true;
		service->handlers.on_writable(conn, service->ctx);
		conn->in_handler = false;
	}
	if (conn->state == WEIR_CONN_OPEN && !conn->is_paused)
		input_show_kept(conn);
	if (conn->state == WEIR_CONN_OPEN && conn->recv == WI_RECV_ENDED)
		input_finish(conn);
	if (conn->state != WEIR_CONN_OPEN) {
		wi_stash_clear(&conn->stash, &core->blocks);
		conn->has_input = false;
	}
	wi_conn_mark(conn);
}
