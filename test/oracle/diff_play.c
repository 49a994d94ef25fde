/* diff_play.c - run a script on one kernel, and record its story */
#include "diff.h"

#include "net/server/listen_socket.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	NS_PER_MS = 1000000,
	PASS_MS = 100, /* per step, so that no deadline is skipped */
	CHUNK_BYTES = 512,
	SETTLE_TURNS = 1000000, /* no correct kernel needs so many */
	STOP_PASSES = 100,
	GREETING = 'G',
};

struct player {
	const struct diff_world *world;
	const struct diff_script *script;
	const struct diff_story *expected;
	struct diff_story *story;
	struct weir_loop *loop;
	struct weir_service service;
	uint16_t port;
	bool has_ended;
	struct diff_conn conns[DIFF_CONNS];
	bool is_open[DIFF_CONNS]; /* the client's end */
	bool is_reading[DIFF_CONNS];
	uint64_t written[DIFF_CONNS];
	uint32_t connected[DIFF_CONNS]; /* the order in which they are
					 * accepted */
	uint32_t connected_count;
	uint32_t opened_count;
};

static uint8_t pattern(uint32_t conn, uint64_t at)
{
	return (uint8_t)(conn * UINT64_C(37) + at * 101 + (at >> 8));
}

/* The correct byte @at for the client: the greeting, then the echo. */
static uint8_t answer(const struct player *player, uint32_t conn, uint64_t at)
{
	const uint64_t greet_bytes = player->script->reaction.greet_bytes;
	return at < greet_bytes ? GREETING : pattern(conn, at - greet_bytes);
}

static void event_add(struct diff_conn *conn, char event)
{
	const size_t length = strlen(conn->events);
	const bool is_again =
		length > 0 && event == 'd' && conn->events[length - 1] == 'd';
	assert(length + 1 < DIFF_EVENTS);
	if (!is_again)
		conn->events[length] = event;
}

/* ---- the handler --------------------------------------------------------- */

static struct diff_conn *conn_of(struct player *player,
				 const struct weir_conn *conn)
{
	struct diff_conn *told = weir_conn_user(conn);
	assert(told >= player->conns && told < player->conns + DIFF_CONNS);
	return told;
}

static void react(struct player *player, struct weir_conn *conn)
{
	switch (player->script->reaction.then) {
	case DIFF_CLOSE:
		weir_conn_close(conn);
		break;
	case DIFF_ABORT:
		weir_conn_abort(conn);
		break;
	case DIFF_REFUSE:
		(void)weir_conn_refuse(conn, -EBADMSG, 0, 0);
		break;
	case DIFF_GO_ON:
		break;
	}
}

static void play_on_open(struct weir_conn *conn, void *ctx)
{
	struct player *player = ctx;
	const struct diff_reaction *reaction = &player->script->reaction;
	uint8_t greeting[CHUNK_BYTES];

	assert(player->opened_count < player->connected_count);
	const uint32_t index = player->connected[player->opened_count++];
	weir_conn_user_set(conn, &player->conns[index]);
	event_add(&player->conns[index], 'o');
	assert(reaction->greet_bytes <= sizeof(greeting));
	memset(greeting, GREETING, sizeof(greeting));
	if (reaction->greet_bytes > 0)
		(void)weir_conn_send(conn, greeting, reaction->greet_bytes);
	if (reaction->at_bytes == 0)
		react(player, conn);
}

static ssize_t play_on_data(struct weir_conn *conn, const uint8_t *bytes,
			    size_t byte_count, void *ctx)
{
	struct player *player = ctx;
	const struct diff_reaction *reaction = &player->script->reaction;
	struct diff_conn *told = conn_of(player, conn);
	const uint32_t index = (uint32_t)(told - player->conns);
	size_t used = byte_count;

	if (reaction->frame_bytes > 0)
		used -= byte_count % reaction->frame_bytes;
	if (used == 0)
		return 0;
	event_add(told, 'd');
	/* It reacts at the same byte, whatever the pieces of the stream. */
	const uint64_t before = told->shown_bytes;
	if (reaction->then != DIFF_GO_ON && reaction->at_bytes > before &&
	    reaction->at_bytes <= before + used)
		used = reaction->at_bytes - before;
	for (size_t i = 0; i < used; i++)
		told->is_wrong |= bytes[i] != pattern(index, before + i);
	told->shown_bytes += used;
	if (!reaction->is_mute)
		(void)weir_conn_send(conn, bytes, used);
	if (reaction->at_bytes > 0 && reaction->at_bytes == told->shown_bytes)
		react(player, conn);
	return (ssize_t)used;
}

static void play_on_writable(struct weir_conn *conn, void *ctx)
{
	event_add(conn_of(ctx, conn), 'r');
}

static void play_on_close(struct weir_conn *conn,
			  const struct weir_close_reason *reason, void *ctx)
{
	struct diff_conn *told = conn_of(ctx, conn);
	event_add(told, 'c');
	told->reason = *reason;
}

/* ---- the clients --------------------------------------------------------- */

static void client_end(struct player *player, uint32_t index, enum diff_end end)
{
	if (player->conns[index].end == DIFF_NO_END)
		player->conns[index].end = end;
	player->is_reading[index] = false;
}

static void client_read(struct player *player, uint32_t index)
{
	const struct diff_world *world = player->world;
	struct diff_conn *conn = &player->conns[index];
	uint8_t bytes[CHUNK_BYTES];

	while (player->is_reading[index]) {
		const int result =
			world->read(world->ctx, index, bytes, sizeof(bytes));
		if (result == -EAGAIN)
			return;
		if (result <= 0) {
			client_end(player, index,
				   result == 0 ? DIFF_END_FIN : DIFF_END_RST);
			return;
		}
		for (int i = 0; i < result; i++)
			conn->is_wrong |=
				bytes[i] !=
				answer(player, index,
				       conn->received_bytes + (uint64_t)i);
		conn->received_bytes += (uint64_t)result;
	}
}

static void client_write(struct player *player, uint32_t index, uint32_t count)
{
	const struct diff_world *world = player->world;
	uint8_t bytes[CHUNK_BYTES];

	while (count > 0) {
		const uint32_t piece =
			count < CHUNK_BYTES ? count : CHUNK_BYTES;
		for (uint32_t i = 0; i < piece; i++)
			bytes[i] = pattern(index, player->written[index] + i);
		const int result =
			world->write(world->ctx, index, bytes, piece);
		if (result == -ECONNRESET) /* reported once, here */
			client_end(player, index, DIFF_END_RST);
		if (result <= 0)
			return;
		player->written[index] += (uint64_t)result;
		count -= (uint32_t)result;
	}
}

static void client_connect(struct player *player, uint32_t index)
{
	const struct diff_world *world = player->world;
	if (world->connect(world->ctx, index, player->port) < 0) {
		client_end(player, index, DIFF_END_RST);
		return;
	}
	player->is_open[index] = true;
	player->connected[player->connected_count++] = index;
}

/* ---- turns --------------------------------------------------------------- */

static void turn(struct player *player)
{
	if (player->has_ended)
		return;
	const int result = weir_loop_turn(player->loop, 0);
	assert(result >= 0);
	player->has_ended = result == 0;
}

static bool is_as_expected(const struct player *player, uint32_t settle)
{
	if (player->expected == NULL)
		return true;
	for (uint32_t i = 0; i < DIFF_CONNS; i++)
		if (diff_settle_differs(player->script,
					player->expected->is_any_order, i,
					&player->expected->settled[settle][i],
					&player->conns[i], NULL))
			return false;
	return true;
}

static void settle(struct player *player)
{
	const struct diff_world *world = player->world;
	struct diff_story *story = player->story;
	const uint32_t index = story->settle_count;

	for (uint32_t i = 0; i < SETTLE_TURNS; i++) {
		turn(player);
		for (uint32_t c = 0; c < DIFF_CONNS; c++)
			client_read(player, c);
		if (world->is_settled(world->ctx,
				      is_as_expected(player, index)))
			break;
	}
	assert(index < DIFF_SETTLES);
	memcpy(story->settled[index], player->conns, sizeof(player->conns));
	story->settle_count++;
	memset(player->is_reading, 0, sizeof(player->is_reading));
}

static void pass(struct player *player, uint32_t ms)
{
	const struct diff_world *world = player->world;
	while (ms > 0) {
		const uint32_t piece = ms < PASS_MS ? ms : PASS_MS;
		world->pass(world->ctx, (uint64_t)piece * NS_PER_MS);
		turn(player);
		turn(player);
		ms -= piece;
	}
}

static void act(struct player *player, const struct diff_action *action)
{
	const struct diff_world *world = player->world;
	const uint32_t index = action->conn;
	const bool is_open = player->is_open[index];

	switch (action->what) {
	case DIFF_CONNECT:
		client_connect(player, index);
		break;
	case DIFF_WRITE:
		if (is_open)
			client_write(player, index, action->amount);
		break;
	case DIFF_READ:
		player->is_reading[index] =
			is_open && player->conns[index].end == DIFF_NO_END;
		break;
	case DIFF_FIN:
		if (is_open)
			world->fin(world->ctx, index);
		break;
	case DIFF_RST:
	case DIFF_HANG_UP:
		if (is_open && action->what == DIFF_RST)
			world->rst(world->ctx, index);
		else if (is_open)
			world->hang_up(world->ctx, index);
		player->is_open[index] = false;
		player->is_reading[index] = false;
		break;
	case DIFF_PAUSE:
		pass(player, action->amount);
		break;
	case DIFF_SETTLE:
		settle(player);
		break;
	case DIFF_STOP:
		weir_loop_stop(player->loop);
		break;
	case DIFF_WHAT_COUNT:
		assert(!"an action");
	}
}

/* Each open client reads the remaining bytes and hangs up. */
static void finish(struct player *player)
{
	static const struct diff_action stop = { .what = DIFF_STOP };
	const struct diff_action epilogue[] = {
		{ .what = DIFF_SETTLE },
		{ .what = DIFF_READ },
		{ .what = DIFF_HANG_UP },
	};
	for (size_t i = 0; i < sizeof(epilogue) / sizeof(epilogue[0]); i++) {
		for (uint32_t c = 0; c < DIFF_CONNS; c++) {
			struct diff_action action = epilogue[i];
			action.conn = c;
			if (action.what != DIFF_SETTLE || c == 0)
				act(player, &action);
		}
		settle(player);
	}
	act(player, &stop);
	settle(player);
	for (int i = 0; i < STOP_PASSES && !player->has_ended; i++)
		pass(player, PASS_MS);
}

/* ---- a run --------------------------------------------------------------- */

static struct weir_service play_service(struct player *player)
{
	return (struct weir_service){
		.handlers = { .on_open = play_on_open,
			      .on_data = play_on_data,
			      .on_writable = play_on_writable,
			      .on_close = play_on_close },
		.ctx = player,
		.send_high_bytes = player->script->reaction.high_bytes,
		.idle_timeout_ms = 5000,
		.drain_timeout_ms = 1000,
	};
}

static void start(struct player *player)
{
	const struct weir_kernel *kernel = player->world->kernel;
	struct wi_listen_request request = { .backlog = 16 };
	struct weir_addr addr;
	const struct weir_loop_opts opts = {
		.ring = { .kernel = kernel,
			  .sq_entry_count = 64,
			  .cq_entry_count = 256 },
		.conn_count = 100, /* enough, so that it does not accept one by
				    * one */
		.backlog = 16,
		.buf_count = 16,
		.buf_bytes = 128,
		.block_memory_bytes = 1 << 20,
	};
	player->service = play_service(player);
	int err = weir_loop_open(&player->loop, &opts, NULL);
	assert(err == 0);
	err = weir_addr_parse("127.0.0.1", 0, &request.addr);
	assert(err == 0);
	const int fd = wi_listen_socket_open(kernel, &request, &addr);
	assert(fd >= 0);
	player->port = weir_addr_port(&addr);
	err = weir_loop_listen(player->loop, &player->service, fd, NULL);
	assert(err == 0);
	err = weir_loop_enable(player->loop);
	assert(err == 0);
	(void)err;
}

void diff_play(const struct diff_world *world, const struct diff_script *script,
	       const struct diff_story *expected, struct diff_story *out_story)
{
	struct player player = {
		.world = world,
		.script = script,
		.expected = expected,
		.story = out_story,
	};
	out_story->settle_count = 0;
	out_story->is_any_order = false;
	start(&player);
	for (uint32_t i = 0; i < script->action_count; i++)
		act(&player, &script->actions[i]);
	finish(&player);
	out_story->has_ended = player.has_ended;
	weir_loop_stats(player.loop, &out_story->stats);
	weir_loop_close(player.loop);
}
