/* sim_serve.c - runs one loop, from listen to its end */
#include "sim_main.h"

#include "../../net/loop.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

enum { TURNS_MAX = 100000 };

static int serve_listen(struct weir_sim *sim, struct weir_loop *loop,
			const struct weir_service *service, uint16_t port)
{
	const struct weir_kernel *kernel = weir_sim_kernel(sim);
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr = { htonl(INADDR_LOOPBACK) },
	};
	const int fd = kernel->socket(kernel->ctx, AF_INET, SOCK_STREAM, 0);
	if (fd < 0)
		return fd;
	int err = weir_loop_listen(loop, service, fd, NULL);
	if (err < 0) {
		(void)kernel->close(kernel->ctx, fd);
		return err;
	}
	err = kernel->bind(kernel->ctx, fd, (const struct sockaddr *)&address,
			   sizeof(address));
	if (err == 0)
		err = kernel->listen(kernel->ctx, fd,
				     (int)weir_loop_backlog(loop));
	return err;
}

/* Return: as weir_loop_turn(); 0 also if a rule was broken. */
static int serve_turns(struct weir_sim *sim, struct weir_loop *loop)
{
	for (uint32_t turns = 0; turns < TURNS_MAX; turns++) {
		const int more = weir_loop_turn(loop, WEIR_TIMEOUT_NEVER);
		if (more <= 0 || weir_sim_violation(sim) != NULL)
			return more < 0 ? more : 0;
		if (weir_sim_is_idle(sim)) {
			weir_sim_violate(sim, "the loop waits for ever");
			return 0;
		}
	}
	weir_sim_violate(sim, "the loop turns without end");
	return 0;
}

int weir_sim_serve(struct weir_sim *sim, struct weir_loop *loop,
		   const struct weir_service *service, uint16_t port)
{
	int err = service != NULL ? serve_listen(sim, loop, service, port) : 0;
	if (err == 0)
		err = weir_loop_enable(loop);
	if (err == 0)
		err = serve_turns(sim, loop);
	if (err < 0) {
		weir_sim_note(sim, "%s", strerror(-err));
		weir_sim_violate(sim, "the loop fails");
	}
	return weir_sim_violation(sim) == NULL ? 0 : -EPROTO;
}
