/* bufring.pml - a ring of buffers that the kernel fills
 *
 *     user:   read the buffer, write its id into an entry (one or several),
 *             store-release tail
 *     kernel: load-acquire tail, read the entry, fill that buffer, post a CQE
 *
 *     entry 0:  [ addr | len | bid | resv ]   resv is the ring's tail: an
 *               entry is written field by field, never as a whole
 *
 * Only the kernel knows its head; the user learns of progress from the CQE.
 * cq.pml proves the order of CQEs. Here the CQE is a channel, and the kernel's
 * earlier stores reach memory before it.
 *
 * Proved: every buffer has exactly one owner; the kernel never reads an entry
 * that is not filled yet; it never fills a buffer that the user still reads.
 *
 * In the library: weir_bufring_take_back(), weir_bufring_publish().
 *
 * mutant NO_TAIL_RELEASE assertion: the tail is seen before the entry
 * mutant NO_TAIL_ACQUIRE assertion: the kernel reads the entry, then the tail
 * mutant LATE_READ assertion: the user reads the buffer after the tail has moved
 * mutant WHOLE_ENTRY assertion: a store of all 16 bytes of entry 0 sets the tail to 0
 */

#define TAIL 4 /* after the entries, 0 to 3 */
#define BYTES 5 /* contents of buffer 0 to 3 */
#define LOCATION_COUNT 9
#include "store_buffer.pml"

#define OP_COUNT 9

/* An entry holds its buffer and its round, so an old entry differs from a new
 * one; 0 is an entry never written. */
#define entry_with(id, turn) (1 + (id) + ENTRY_COUNT * (turn))
#define entry_id(entry) (((entry) - 1) % ENTRY_COUNT)
#define entry_turn(entry) (((entry) - 1) / ENTRY_COUNT)

/* The owner of buffer 0, 1: for the proof only; no process reads it. */
bit is_lent[ENTRY_COUNT];
chan cqes = [ENTRY_COUNT] of { byte, byte }; /* buffer id, its contents */

inline take_back(id)
{
	d_step {
		assert(!is_lent[id]);
		is_lent[id] = 1
	}
#ifdef WHOLE_ENTRY
	if
	:: slot_of(lent) == 0 -> store(USER, TAIL, 0)
	:: else
	fi;
#endif
	store(USER, slot_of(lent), entry_with(id, lent));
	lent++
}

inline publish()
{
#ifdef NO_TAIL_RELEASE
	store(USER, TAIL, index_of(lent));
#else
	store_release(USER, TAIL, index_of(lent));
#endif
	published = lent
}

active proctype user()
{
	byte lent = 0; /* how many times a buffer was lent, ever */
	byte published = 0;
	byte seen = 0;
	byte id = 0;
	byte bytes = 0;

	take_back(0);
	take_back(1);
	take_back(2);
	take_back(3);
	publish();
	do
	:: seen == OP_COUNT -> break
	:: seen < OP_COUNT && nempty(cqes) ->
		cqes ? id, bytes;
#ifdef LATE_READ
		seen++;
		take_back(id);
		publish();
		assert(memory[BYTES + id] == bytes);
#else
		assert(memory[BYTES + id] == bytes);
		seen++;
		take_back(id);
#endif
		id = 0;
		bytes = 0
	:: published != lent -> publish()
	od
}

active proctype kernel()
{
	byte head = 0;
	byte entry = 0;

	do
	:: head == OP_COUNT -> break
	:: head < OP_COUNT ->
#ifdef NO_TAIL_ACQUIRE
		entry = memory[slot_of(head)];
		memory[TAIL] != index_of(head);
#else
		memory[TAIL] != index_of(head);
		entry = memory[slot_of(head)];
#endif
		d_step {
			assert(entry != 0);
			assert(entry_turn(entry) == head);
			assert(is_lent[entry_id(entry)]);
			is_lent[entry_id(entry)] = 0
		}
		head++;
		store(KERNEL, BYTES + entry_id(entry), head);
		fence(KERNEL); /* the CQE's release and acquire */
		cqes ! entry_id(entry), head;
		entry = 0
	od
}

init
{
	run drain(USER);
	run drain(KERNEL)
}
