/* cases.c - the table of cases */
#include "cases.h"

#include "../../uring/abi.h"

#define CONNECT                                                                \
	{                                                                      \
		SIM_ACT_CONNECT, 0                                             \
	}
#define WRITE(count)                                                           \
	{                                                                      \
		SIM_ACT_WRITE, count                                           \
	}
#define READ(count)                                                            \
	{                                                                      \
		SIM_ACT_READ, count                                            \
	}
#define READ_END                                                               \
	{                                                                      \
		SIM_ACT_READ_END, 0                                            \
	}
#define FIN                                                                    \
	{                                                                      \
		SIM_ACT_FIN, 0                                                 \
	}
#define RST                                                                    \
	{                                                                      \
		SIM_ACT_RST, 0                                                 \
	}
#define MUTE                                                                   \
	{                                                                      \
		SIM_ACT_MUTE, 0                                                \
	}
#define LATER                                                                  \
	{                                                                      \
		SIM_ACT_QUIET, 0                                               \
	}
#define REST(ms)                                                               \
	{                                                                      \
		SIM_ACT_REST, ms                                               \
	}
#define QUIET(ms)                                                              \
	{                                                                      \
		SIM_ACT_QUIET, ms                                              \
	}

/* With the head of its chunk, a block of 2 MiB. Three of the 8 MiB hold one
 * each; no other such block is left. */
#define ANSWER_BYTES ((2 << 20) - 24)

/* clang-format off */
const struct sim_case sim_cases[] = {
	{
		.name = "one",
		.what = "one peer, one message",
		.peers = { { CONNECT, WRITE(3), FIN, READ_END } },
	},
	{
		.name = "echo",
		.what = "a peer says two things, hears them, and ends",
		.is_canonical = true,
		.sample_every = 1,
		.peers = { { CONNECT, WRITE(5), READ(5), WRITE(40), FIN,
			     READ_END } },
	},
	{
		.name = "close",
		.what = "the server closes first, its FIN ahead of the peer's",
		.is_canonical = true,
		.close_after = 8,
		.peers = { { CONNECT, WRITE(8), READ_END },
			   { CONNECT, WRITE(4), WRITE(4), READ_END } },
	},
	{
		.name = "swarm",
		.what = "one buffer, small queues, full table, slow readers",
		.is_canonical = true,
		.sends_twice = true,
		.world = { .pipe_bytes = 24 },
		.loop = { .conn_count = 1, .buf_count = 1, .buf_bytes = 16 },
		.service = { .send_high_bytes = 16, .send_bytes_max = 4096 },
		.peers = { { CONNECT, WRITE(60), READ(20), WRITE(20), FIN,
			     READ_END },
			   { CONNECT, WRITE(30), FIN, READ_END } },
	},
	{
		.name = "quiet",
		.what = "a silent peer is asked whether it lives, then is idle",
		.is_canonical = true,
		.may_lose = true,
		.peers = { { CONNECT, WRITE(5), READ(5), QUIET(900), WRITE(5),
			     READ(10), READ_END } },
	},
	{
		.name = "stop",
		.what = "the loop stops while its peers talk",
		.is_canonical = true,
		.may_lose = true,
		.stop_turn = 4,
		.peers = { { CONNECT, WRITE(5), READ(5), WRITE(40), READ_END },
			   { CONNECT, WRITE(90), READ_END } },
	},
	{
		.name = "outbound",
		.what = "the loop connects to itself",
		.is_canonical = true,
		.outbound = 2,
		.close_after = 6,
		.peers = { { CONNECT, WRITE(5), READ(5), FIN, READ_END } },
	},
	{
		.name = "outbound-stop",
		.turns_drawn = 4,
		.what = "connections in the making when the loop stops",
		.may_lose = true,
		.outbound = 2,
		.stop_turn = 1,
	},
	{
		.name = "outbound-abort",
		.turns_drawn = 6,
		.what = "connections in the making are aborted",
		.may_lose = true,
		.outbound = 2,
		.abort_turn = 1,
	},
	{
		.name = "shutdown",
		.what = "a FIN by the ring's own shutdown",
		.close_after = 8,
		.rungs_off = (weir_rung_set)1 << WEIR_RUNG_INSTALL_SLOT,
		.peers = { { CONNECT, WRITE(8), READ_END },
			   { CONNECT, WRITE(8), READ(8), FIN, READ_END } },
	},
	{
		.name = "abort",
		.what = "the server aborts, full queues and all",
		.may_lose = true,
		.sends_twice = true,
		.abort_after = 30,
		.world = { .pipe_bytes = 8 },
		.service = { .send_high_bytes = 16, .send_bytes_max = 4096 },
		.peers = { { CONNECT, WRITE(60), READ_END },
			   { CONNECT, WRITE(30), READ_END } },
	},
	{
		.name = "mute-close",
		.what = "a drain that only its deadline ends",
		.may_lose = true,
		.sends_twice = true,
		.close_after = 20,
		.world = { .pipe_bytes = 8 },
		.service = { .send_high_bytes = 64, .send_bytes_max = 4096 },
		.peers = { { CONNECT, WRITE(40), MUTE } },
	},
	{
		.name = "mute-idle",
		.what = "a peer that does not read, until the idle deadline",
		.may_lose = true,
		.sends_twice = true,
		.world = { .pipe_bytes = 8 },
		.service = { .send_high_bytes = 16, .send_bytes_max = 4096 },
		.peers = { { CONNECT, WRITE(60), MUTE } },
	},
	{
		.name = "reset",
		.what = "peers that reset",
		.may_lose = true,
		.sends_twice = true,
		.world = { .pipe_bytes = 16 },
		.peers = { { CONNECT, WRITE(30), RST },
			   { CONNECT, WRITE(5), READ(5), RST },
			   { CONNECT, RST } },
	},
	{
		.name = "quiet-close",
		.what = "asked whether it lives, a peer says its last",
		.close_after = 10,
		.peers = { { CONNECT, WRITE(5), READ(5), QUIET(900), WRITE(5),
			     READ_END },
			   { CONNECT, QUIET(900), WRITE(3), FIN, READ_END } },
	},
	{
		.name = "stop-force",
		.wakes = true,
		.turns_drawn = 3,
		.what = "asked twice, the loop stops at once",
		.may_lose = true,
		.sends_twice = true,
		.stop_turn = 5,
		.force_turn = 7,
		.sample_every = 1,
		.world = { .pipe_bytes = 8 },
		.service = { .send_high_bytes = 16, .send_bytes_max = 4096 },
		.peers = { { CONNECT, WRITE(60), MUTE },
			   { CONNECT, WRITE(5), READ(5), WRITE(60), READ_END },
			   { CONNECT, WRITE(2), READ_END } },
	},
	{
		.name = "stop-full",
		.wakes = true,
		.turns_drawn = 3,
		.what = "the loop stops while it accepts one by one",
		.may_lose = true,
		.stop_turn = 3,
		.sample_every = 1,
		.loop = { .conn_count = 1 },
		.peers = { { CONNECT, WRITE(5), READ(5), READ_END },
			   { CONNECT, WRITE(5), READ_END },
			   { CONNECT, WRITE(5), READ_END } },
	},
	{
		.name = "full",
		.what = "a multishot accept is cancelled as the table fills",
		.loop = { .conn_count = 66 },
		.peers = { { CONNECT, WRITE(5), READ(5), FIN, READ_END },
			   { CONNECT, WRITE(5), READ(5), FIN, READ_END },
			   { CONNECT, WRITE(5), READ(5), FIN, READ_END } },
	},
	{
		.name = "full-end",
		.what = "the same, and it ends by itself",
		.faults = WEIR_FAULT_TERMINATE,
		.loop = { .conn_count = 66 },
		.world = { .fault_rate = 60 },
		.peers = { { CONNECT, WRITE(5), READ(5), FIN, READ_END },
			   { CONNECT, WRITE(5), READ(5), FIN, READ_END },
			   { LATER, LATER, LATER, CONNECT, WRITE(5), READ(5),
 FIN, READ_END } },
	},
	{
		.name = "full-outbound",
		.what = "the last slot is taken while an accept is armed",
		.may_lose = true,
		.outbound = 1,
		.outbound_turn = 1,
		.turns_drawn = 2,
		.loop = { .conn_count = 1 },
		.peers = { { LATER, LATER, CONNECT, WRITE(5), READ(5), FIN,
			     READ_END } },
	},
	{
		.name = "full-stop",
		.what = "the same when the loop stops",
		.may_lose = true,
		.stop_turn = 2,
		.turns_drawn = 4,
		.loop = { .conn_count = 66 },
		.peers = { { CONNECT, WRITE(5), READ(5), READ_END },
			   { CONNECT, WRITE(5), READ(5), READ_END },
			   { CONNECT, WRITE(5), READ(5), READ_END } },
	},
	{
		.name = "leaps",
		.what = "time leaps while peers talk",
		.may_lose = true,
		.faults = WEIR_FAULT_CLOCK,
		.close_after = 40,
		.world = { .fault_rate = 24 },
		.peers = { { CONNECT, WRITE(5), READ(5), WRITE(5), READ(10),
			     WRITE(5), READ(15), WRITE(40), READ_END },
			   { CONNECT, WRITE(5), READ(5), WRITE(5), READ(10),
			     WRITE(5), READ(15), FIN, READ_END } },
	},
	{
		.name = "pause-close",
		.what = "the server pauses, resumes and closes",
		.close_after = 40,
		.world = { .pipe_bytes = 24 },
		.service = { .send_high_bytes = 16, .send_bytes_max = 4096 },
		.peers = { { CONNECT, WRITE(20), WRITE(20), READ_END } },
	},
	{
		.name = "parked",
		.what = "buffers rest on the parked, and come back in a burst",
		.loop = { .buf_count = 128, .buf_bytes = 16 },
		.peers = { { CONNECT, WRITE(1600), READ(1600), WRITE(1200), FIN,
			     READ_END } },
	},
	{
		.name = "memory",
		.what = "who does not read holds all the memory, one waits",
		.reserve_bytes = ANSWER_BYTES,
		.world = { .pipe_bytes = 64 },
		.service = { .send_bytes_max = 4 << 20 },
		.peers = { { CONNECT, WRITE(64), REST(20), WRITE(8), REST(20),
			     WRITE(8), REST(200), FIN, READ_END },
			   { CONNECT, WRITE(64), REST(20), WRITE(8),
			     REST(400), FIN, READ_END },
			   { CONNECT, REST(100), WRITE(8), READ(8), WRITE(8),
			     FIN, READ_END } },
	},
	{
		.name = "memory-swarm",
		.what = "the same, and two wait, who then have all of it",
		.reserve_bytes = ANSWER_BYTES,
		.world = { .pipe_bytes = 64 },
		.service = { .send_bytes_max = 4 << 20 },
		.peers = { { CONNECT, WRITE(64), REST(20), WRITE(8), REST(20),
			     WRITE(8), REST(20), WRITE(8), REST(200), FIN,
			     READ_END },
			   { CONNECT, REST(100), WRITE(8), READ(8), FIN,
			     READ_END },
			   { CONNECT, REST(110), WRITE(8), FIN, READ_END } },
	},
	{
		.name = "close-reset",
		.what = "a reset meets the FIN of the server",
		.may_lose = true,
		.close_after = 8,
		.peers = { { CONNECT, WRITE(8), RST },
			   { CONNECT, WRITE(8), READ(8), RST },
			   { CONNECT, WRITE(8), READ(4), RST } },
	},
	{
		.name = "shutdown-reset",
		.what = "the same with the ring's own shutdown",
		.may_lose = true,
		.close_after = 8,
		.rungs_off = (weir_rung_set)1 << WEIR_RUNG_INSTALL_SLOT,
		.peers = { { CONNECT, WRITE(8), RST },
			   { CONNECT, WRITE(8), READ(8), RST },
			   { CONNECT, WRITE(8), READ(4), RST } },
	},
};
/* clang-format on */
const uint32_t sim_case_count = sizeof(sim_cases) / sizeof(sim_cases[0]);
