#include "observe.h"

const struct wi_observer *wi_observer;

void wi_observe(const struct wi_observer *observer)
{
	wi_observer = observer;
}
