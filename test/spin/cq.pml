/* cq.pml - the completion queue, reaped in batches
 *
 *     kernel: load-acquire head: room? fill entry, store-release tail
 *     user:   load-acquire tail, read all that is ready, store-release head
 *
 * Proved: the user reads every completion exactly as filled, once and in order,
 * whatever the number that it reaps with one store of the head.
 *
 * In the library: weir_ring_ready(), weir_ring_cqe(), weir_ring_reaped().
 *
 * mutant NO_TAIL_RELEASE assertion: the tail is seen before the entry
 * mutant NO_TAIL_ACQUIRE assertion: the user reads the entry, then the tail
 * mutant NO_HEAD_RELEASE assertion: the user reads an entry after the head
 * mutant NO_HEAD_ACQUIRE assertion: the kernel fills the entry, then looks for room
 */

#define HEAD 4 /* after the entries, 0 to 3 */
#define TAIL 5
#define LOCATION_COUNT 6
#include "store_buffer.pml"

#define OP_COUNT 9
#define content(number) ((number) + 1)

active proctype kernel()
{
	byte posted = 0;

	do
	:: posted == OP_COUNT -> break
	:: posted < OP_COUNT ->
#ifdef NO_HEAD_ACQUIRE
		store(KERNEL, slot_of(posted), content(posted));
		distance(memory[HEAD], index_of(posted)) < ENTRY_COUNT;
#else
		distance(memory[HEAD], index_of(posted)) < ENTRY_COUNT;
		store(KERNEL, slot_of(posted), content(posted));
#endif
		posted++;
#ifdef NO_TAIL_RELEASE
		store(KERNEL, TAIL, index_of(posted))
#else
		store_release(KERNEL, TAIL, index_of(posted))
#endif
	od
}

/* One batch: reads from `reaped` up to the tail, then moves the head. */
inline read_batch()
{
	do
	:: distance(index_of(reaped), index_of(until)) > 0 ->
#ifdef NO_TAIL_ACQUIRE
		if
		:: has_early -> has_early = 0
		:: else -> entry = memory[slot_of(reaped)]
		fi;
#else
		entry = memory[slot_of(reaped)];
#endif
		assert(entry == content(reaped));
		entry = 0;
		reaped++
	:: else -> break
	od
}

active proctype user()
{
	byte reaped = 0;
	byte until = 0;
	byte entry = 0;
#ifdef NO_TAIL_ACQUIRE
	bit has_early = 0;
#endif

	do
	:: reaped == OP_COUNT -> break
	:: reaped < OP_COUNT ->
#ifdef NO_TAIL_ACQUIRE
		entry = memory[slot_of(reaped)];
		has_early = 1;
#endif
		atomic {
			memory[TAIL] != index_of(reaped);
			until = memory[TAIL]
		}
#ifdef NO_HEAD_RELEASE
		store(USER, HEAD, until);
		read_batch()
#else
		read_batch();
		store_release(USER, HEAD, until)
#endif
		until = 0
	od
}

init
{
	run drain(USER);
	run drain(KERNEL)
}
