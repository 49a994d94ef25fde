/* store_buffer.pml - memory with a store buffer per writer
 *
 *     USER   --store--> [ pending[USER]   ] --drain--> memory[] --load--> both
 *     KERNEL --store--> [ pending[KERNEL] ] --drain-->
 *
 * Spin's own memory is sequentially consistent: all processes see a store at
 * once, in program order. Hardware and compilers promise less. So the stores of
 * each writer wait in its own buffer, until its drain process moves one to
 * memory, at any moment and in any order that the rules allow:
 *
 *   store()          may overtake older stores to other locations, never one
 *                    to its own. (x86 would keep all of them in order; arm64
 *                    and the C language do not.)
 *   store_release()  leaves only when all older stores have left; younger
 *                    ones may still overtake it.
 *   fence()          waits until the writer's buffer is empty: no later load
 *                    is made before its earlier stores are seen.
 *
 * No process loads a location that it stores, so the buffer forwards no value.
 * A load reads memory[] when it is executed. An acquire load is a load at its
 * place in the program. A mutant that drops an acquire (or the half of a
 * release that holds loads back) states which load may then move, and adds that
 * order as one choice.
 *
 * Indices are free-running counters that wrap at INDEX_COUNT, twice the size
 * of the ring, so that a few operations go past the wrap.
 *
 * A model defines LOCATION_COUNT before it includes this file.
 */

#define USER 0
#define KERNEL 1
#define PENDING_MAX 6

#define ENTRY_COUNT 4 /* of each ring: a power of two */
#define INDEX_COUNT 8
#define index_of(counter) ((counter) % INDEX_COUNT)
#define slot_of(counter) ((counter) % ENTRY_COUNT)
#define distance(from, to) (((to) + INDEX_COUNT - (from)) % INDEX_COUNT)

typedef store_buffer {
	byte count;
	byte location[PENDING_MAX];
	byte value[PENDING_MAX];
	bit is_release[PENDING_MAX]
}

store_buffer pending[2];
byte memory[LOCATION_COUNT];

inline store_as(writer, where, what, with_release)
{
	d_step {
		pending[writer].count < PENDING_MAX ->
		pending[writer].location[pending[writer].count] = where;
		pending[writer].value[pending[writer].count] = what;
		pending[writer].is_release[pending[writer].count] =
			with_release;
		pending[writer].count++
	}
}

inline store(writer, where, what)
{
	store_as(writer, where, what, 0)
}

inline store_release(writer, where, what)
{
	store_as(writer, where, what, 1)
}

inline fence(writer)
{
	pending[writer].count == 0
}

/* Moves one store to memory, any that may leave. */
proctype drain(byte writer)
{
	byte chosen;
	byte other;
	bit may_leave;
end:
	do
	:: atomic {
		pending[writer].count > 0 ->
		chosen = 0;
		do
		:: chosen + 1 < pending[writer].count -> chosen++
		:: break
		od;
		d_step {
			may_leave = !pending[writer].is_release[chosen] ||
				chosen == 0;
			other = 0;
			do
			:: other < chosen ->
				if
				:: pending[writer].location[other] ==
				   pending[writer].location[chosen] ->
					may_leave = 0
				:: else
				fi;
				other++
			:: else -> break
			od;
			if
			:: may_leave ->
				memory[pending[writer].location[chosen]] =
					pending[writer].value[chosen];
				pending[writer].count--;
				do
				:: chosen < pending[writer].count ->
					pending[writer].location[chosen] =
						pending[writer].location[chosen + 1];
					pending[writer].value[chosen] =
						pending[writer].value[chosen + 1];
					pending[writer].is_release[chosen] =
						pending[writer].is_release[chosen + 1];
					chosen++
				:: else -> break
				od;
				/* cleared, so that equal states compare equal */
				pending[writer].location[pending[writer].count] = 0;
				pending[writer].value[pending[writer].count] = 0;
				pending[writer].is_release[pending[writer].count] = 0
			:: else
			fi;
			chosen = 0;
			other = 0;
			may_leave = 0
		}
	   }
	od
}
