/* pass.pml - an open connection moves from one loop to another
 *
 *     giver                                taker
 *     -----                                -----
 *     wait until nothing of it is in
 *     flight; keep the slot
 *     MSG_RING, SEND_FD: the socket ----->  slot of its table, a completion
 *     or (no MSG_RING) an entry in the      (seen once the taker enters)
 *     inbox, and its doorbell ------------> reads the inbox when it is rung
 *     own completion: given: give up the
 *     slot; refused: goes on with it
 *
 * The message fails if the taker's table is full (-ENFILE) or its ring is gone
 * (-EBADFD). The giver's own completion may be lost (an overflow that was never
 * reaped, a ring that fails): then it reads a word that the taker writes. A
 * taker that stops sends back connections not yet taken, and ends those it
 * took. It ends only when no connection can be in transit to it.
 *
 * Proved: each connection has one owner, or is in one message; it is never lost
 * and never served twice; a taker that stops refuses or gives back; every
 * hand-over ends, and so do both loops.
 *
 * In the library: weir_op_msg_slot() and the doorbell. net/ does not pass open
 * connections yet: this is the protocol to follow.
 *
 * mutant GIVE_AT_ONCE assertion: the slot is given up before the answer
 * mutant KEEP_ON_GIVEN assertion: the giver serves on after it was given
 * mutant RETRY_ON_LOST assertion: a lost answer counts as a refusal
 * mutant END_AT_ONCE assertion: a taker that stops ends with a message on its way
 * mutant NO_BACK assertion: a taker that stops drops what has come
 * mutant NO_WAKE deadlock: the doorbell is not rung
 * mutant WAKE_FIRST deadlock: the doorbell is rung before the entry is written
 * mutant NO_ASK deadlock: the giver does not ask after a lost answer
 */

#define CONN_COUNT 2
#define SLOTS 1 /* of the taker's table */

mtype = { GIVER, ON_ITS_WAY, TAKER, BACK, GONE }; /* where it is */
mtype = { GIVEN, REFUSED };

mtype owner[CONN_COUNT];
bit is_given_up[CONN_COUNT]; /* the giver's slot */
byte slots_used = 0;
bit has_ring_message = 0;                 /* MSG_RING works here */
chan arrived = [CONN_COUNT] of { byte };  /* to the taker */
chan inbox = [CONN_COUNT] of { byte };    /* the other way to the taker */
chan returned = [CONN_COUNT] of { byte }; /* to the giver */
chan answer = [1] of { mtype };
bit bell = 0;
bit answer_is_lost = 0;
bit word_is_taken[CONN_COUNT]; /* written by the taker when it takes one  */
bit word_is_refused[CONN_COUNT]; /* or when the giver asks for one not taken */
byte asked = 0; /* 1 + which */
bit taker_stops = 0;
bit taker_refuses = 0; /* set: later sends are refused */
bit taker_has_ended = 0;
byte sending = 0; /* givers that are sending, counted as stop calls are */

/* ---- the kernel: carries a message, and answers */

inline answer_with(result)
{
	if
	:: answer ! result
	:: answer_is_lost = 1
	fi
}

inline send_by_ring(conn)
{
	atomic {
		if
		:: taker_has_ended || taker_refuses || slots_used == SLOTS ->
			owner[conn] = GIVER;
			answer_with(REFUSED)
		:: else ->
			slots_used++;
			arrived ! conn;
			answer_with(GIVEN)
		fi;
		sending--
	}
}

inline ring_bell()
{
#ifndef NO_WAKE
	bell = 1
#else
	skip
#endif
}

/* Its lock makes the check and the write atomic. */
inline send_by_inbox(conn)
{
#ifdef WAKE_FIRST
	ring_bell();
#endif
	atomic {
		if
		:: taker_has_ended || taker_refuses || slots_used == SLOTS ->
			owner[conn] = GIVER;
			answer ! REFUSED
		:: else ->
			slots_used++;
			inbox ! conn;
			answer ! GIVEN
		fi;
		sending--
	}
#ifndef WAKE_FIRST
	ring_bell()
#endif
}

/* ---- the giver */

inline serve(conn)
{
	atomic {
		assert(owner[conn] == GIVER && !is_given_up[conn]);
		owner[conn] = GONE;
		is_given_up[conn] = 1
	}
}

inline settle(conn, result)
{
	if
	:: result == GIVEN ->
#ifdef KEEP_ON_GIVEN
		serve(conn)
#else
		is_given_up[conn] = 1
#endif
	:: else -> serve(conn)
	fi
}

active proctype giver()
{
	byte conn = 0;
	byte back = 0;
	mtype result;

	atomic {
		owner[0] = GIVER;
		owner[1] = GIVER;
		if
		:: has_ring_message = 1
		:: skip
		fi
	}
	do
	:: conn == CONN_COUNT -> break
	:: conn < CONN_COUNT ->
		atomic { /* nothing in flight: see close.pml */
			assert(owner[conn] == GIVER);
			owner[conn] = ON_ITS_WAY;
			sending++
		}
#ifdef GIVE_AT_ONCE
		is_given_up[conn] = 1;
#endif
		if
		:: has_ring_message -> send_by_ring(conn)
		:: else -> send_by_inbox(conn)
		fi;
		if
		:: answer ? result -> settle(conn, result)
		:: answer_is_lost ->
			answer_is_lost = 0;
#ifdef RETRY_ON_LOST
			settle(conn, REFUSED)
#else
#ifdef NO_ASK
			answer ? result
#else
			asked = 1 + conn;
			bell = 1;
			if
			:: word_is_taken[conn] -> settle(conn, GIVEN)
			:: atomic {
				word_is_refused[conn] || taker_has_ended &&
					!word_is_taken[conn] ->
				settle(conn, REFUSED)
			   }
			fi;
			asked = 0
#endif
#endif
		fi;
		result = 0;
		conn++
	od;
	/* Serves returned connections until the taker has ended. */
	do
	:: atomic {
		returned ? back ->
		assert(owner[back] == BACK && is_given_up[back]);
		owner[back] = GONE
	   }
	:: atomic { taker_has_ended && empty(returned) -> break }
	od;
	assert(owner[0] == GONE && owner[1] == GONE)
}

/* ---- the taker */

inline take(conn)
{
	assert(owner[conn] == ON_ITS_WAY);
	word_is_taken[conn] = 1;
	if
	:: taker_stops ->
#ifdef NO_BACK
		skip
#else
		owner[conn] = BACK;
		slots_used--;
		returned ! conn
#endif
	:: else -> owner[conn] = TAKER
	fi
}

/* Its own connection ends, by itself or drained. */
inline finish(conn)
{
	owner[conn] = GONE;
	slots_used--
}

active proctype taker()
{
	byte conn = 0;

	do
	:: atomic { arrived ? conn -> take(conn) }
	:: atomic {
		bell ->
		bell = 0;
		do
		:: arrived ? conn -> take(conn)
		:: inbox ? conn -> take(conn)
		:: len(arrived) == 0 && len(inbox) == 0 -> break
		od;
		if
		:: asked > 0 && !word_is_taken[asked - 1] ->
			word_is_refused[asked - 1] = 1
		:: else
		fi
	   }
	:: atomic { owner[0] == TAKER -> finish(0) }
	:: atomic { owner[1] == TAKER -> finish(1) }
	:: atomic { taker_stops && !taker_refuses -> taker_refuses = 1 }
#ifdef END_AT_ONCE
	:: atomic { taker_stops && owner[0] != TAKER && owner[1] != TAKER ->
#else
	:: atomic {
		taker_refuses && sending == 0 && empty(arrived) &&
			empty(inbox) && owner[0] != TAKER &&
			owner[1] != TAKER ->
#endif
		break
	   }
	od;
	atomic {
		assert(len(arrived) == 0 && len(inbox) == 0);
		assert(slots_used == 0);
		taker_has_ended = 1
	}
}

active proctype stopper()
{
	taker_stops = 1
}
