/* model_lies.h - outcomes that no kernel has, and a faulty model
 *
 *     true outcome --> one part changed --> the model must not have it
 *     true outcome --> a model whose completions are changed must not have it
 *
 * They prove that the test sim-model can fail.
 */
#ifndef WEIR_TEST_MODEL_LIES_H
#define WEIR_TEST_MODEL_LIES_H

#include "model.h"

/**
 * struct model_lie - a change that no kernel makes
 * @tell: makes that change to @outcome; false: it does not apply
 */
struct model_lie {
	const char *what;
	bool (*tell)(const struct model_program *program,
		     struct model_outcome *outcome);
};
extern const struct model_lie model_lies[];
extern const int model_lie_count;

/**
 * struct model_error - a mistake that a model could have
 * @change: one completion of @op, in place
 */
struct model_error {
	const char *what;
	void (*change)(const struct model_op *op, struct io_uring_cqe *cqe);
};
extern const struct model_error model_errors[];
extern const int model_error_count;

/* @kernel with that mistake, while it runs @program. One at a time. */
const struct weir_kernel *model_err(const struct weir_kernel *kernel,
				    const struct model_error *error,
				    const struct model_program *program);

#endif
