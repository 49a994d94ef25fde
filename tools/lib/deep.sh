# deep.sh - sourced by tools/check: the deep tier, part by part
#
# shellcheck shell=bash
# shellcheck disable=SC2154 # root, failed and part_* are lib.sh's
#
#     deep_parts --> those that have not passed on this very tree --> a table
#                                  |
#          build/deep/PART.state, PART.log
#
# A part is a command whose last line is "N passed, N failed". Its result is kept
# with the hash of the tree that it ran on, uncommitted changes included. It runs
# again when a file has changed, or with --again.

deep_dir=build/deep

# matrix_rungs DOCTOR: the rungs with the role "used" in the ladder's table, then
# all of them at once. Rungs that are only known change nothing, and without
# required rungs there is no server.
matrix_rungs() {
	"$1" --json | jq -r '.rungs[] | select(.role == "used") | .name'
	echo all
}

# Prints nothing until build/test has a weir-doctor.
deep_rungs() {
	local doctor=build/test/tools/weir-doctor
	[ -x $doctor ] || return 0
	matrix_rungs $doctor
}

# One line for each part: "name|what|command".
deep_parts() {
	local rung
	cat <<'END'
gcc|every suite by gcc, in its long form|--long
clang|by clang, with sums of what the kernel is sending|--clang --long
asan|address and undefined-behaviour sanitizer|--asan --clang --long
tsan|thread sanitizer|--tsan --long
msan|memory sanitizer|--msan --long
nobpf|without the steering program|--no-bpf --long
coverage|lines and branches reached, against their bars|--coverage --long
memcheck|valgrind's memcheck|--valgrind
helgrind|valgrind's helgrind and DRD|--helgrind
schedules|10,000,000 schedules, and the exhaustive cases|--schedules 10000000
mutants|each planted bug is found|--mutants
models|memory orders and protocols, by spin|--models
fuzz|10 minutes of fuzzing|--fuzz 600
END
	while read -r rung; do
		printf 'matrix-%s|with %s forced off|--matrix %s\n' \
			"$rung" "$rung" "$rung"
	done < <(deep_rungs)
}

# The hash of all files that git tracks or would add, as they are now.
tree_hash() {
	local index hash
	index=$(mktemp)
	hash=$(cp "$(git rev-parse --git-path index)" "$index" &&
		export GIT_INDEX_FILE=$index && git add -A . &&
		git write-tree) 2>/dev/null || hash=
	rm -f "$index"
	printf '%s\n' "$hash"
}

# deep_state NAME: reads the kept result into deep_tree, deep_verdict, part_* and
# run_*; status 1 if there is none.
deep_state() {
	deep_tree='' deep_verdict=never
	[ -f "$deep_dir/$1.state" ] || return 1
	read -r deep_tree deep_verdict part_cpu_ms part_wall_ms run_tests run_cases \
		run_skipped run_passed run_failed <"$deep_dir/$1.state"
}

deep_list() {
	local name what command tree when
	tree=$(tree_hash)
	printf '%-26s %-14s %8s  %s\n' part 'last time' 'CPU s' 'tools/check'
	while IFS='|' read -r name what command; do
		when=never
		if deep_state "$name"; then
			when=$deep_verdict
			[ "$deep_tree" = "$tree" ] || when="$when, older"
			printf '%-26s %-14s %8s  %s: %s\n' "$name" "$when" \
				"$(seconds "$part_cpu_ms")" "$command" "$what"
		else
			printf '%-26s %-14s %8s  %s: %s\n' "$name" never - \
				"$command" "$what"
		fi
	done < <(deep_parts)
	[ -n "$(deep_rungs)" ] || printf '%-26s %s\n' 'matrix-RUNG' \
		'for each rung that weir uses: named once build/test is built'
}

# deep_run NAME COMMAND: runs it, and writes its log and its state.
deep_run() {
	local name=$1 status=0 tree
	local -a options
	local log=$deep_dir/$name.log
	read -r -a options <<<"$2"
	tree=$(tree_hash)
	timed "$root/tools/check" "${options[@]}" >"$log" 2>&1 </dev/null ||
		status=$?
	counts_judge $status "$log"
	deep_verdict=passed
	[ "$run_failed" -eq 0 ] || deep_verdict=FAILED
	# If a file has changed meanwhile, the part ran on neither tree.
	[ -n "$tree" ] && [ "$tree" = "$(tree_hash)" ] || tree=mixed
	printf '%s %s %d %d %d %d %d %d %d\n' "$tree" "$deep_verdict" \
		"$part_cpu_ms" "$part_wall_ms" "$run_tests" "$run_cases" \
		"$run_skipped" "$run_passed" "$run_failed" \
		>"$deep_dir/$name.state"
	if [ "$deep_verdict" = FAILED ]; then
		{ grep -aE ':[FE]:|FAILED|SURVIVES|DIFFER' "$log" || true
			tail -n 15 "$log"; } | cut -c 1-300
	fi
}

# deep_wanted [PART]...: prints the rows of the named parts, or all.
deep_wanted() {
	local name what command wanted found
	if [ $# -eq 0 ]; then
		deep_parts
		return
	fi
	for wanted in "$@"; do
		found=no
		while IFS='|' read -r name what command; do
			# matrix: all of its rows.
			[[ $name == "$wanted" || $name == "$wanted"-* ]] || continue
			printf '%s|%s|%s\n' "$name" "$what" "$command"
			found=yes
		done < <(deep_parts)
		[ $found = yes ] ||
			usage_error "--deep has no part '$wanted'; see --deep --list"
	done
}

# deep AGAIN [PART]...
deep() {
	local again=$1 name what command tree number=0 row
	local -a rows=() table=()
	local cpu_sum=0 wall_sum=0
	shift
	mkdir -p $deep_dir
	# Its weir-doctor lists the rungs.
	build build/test -Dtests=true -Dtools=true
	row=$(deep_wanted "$@")
	mapfile -t rows <<<"$row"
	for row in "${rows[@]}"; do
		IFS='|' read -r name what command <<<"$row"
		number=$((number + 1))
		tree=$(tree_hash)
		if [ "$again" = no ] && deep_state "$name" &&
			[ -n "$tree" ] && [ "$deep_tree" = "$tree" ] &&
			[ "$deep_verdict" = passed ]; then
			step "[$number/${#rows[@]}] $name: passed before, on this tree"
			deep_verdict=before
		else
			step "[$number/${#rows[@]}] $name: $what ($deep_dir/$name.log)"
			deep_run "$name" "$command"
			printf '    %s: %d passed, %d failed, %s CPU s, %s s\n' \
				"$deep_verdict" "$run_passed" "$run_failed" \
				"$(seconds "$part_cpu_ms")" \
				"$(seconds "$part_wall_ms")"
		fi
		counts_add
		cpu_sum=$((cpu_sum + part_cpu_ms))
		wall_sum=$((wall_sum + part_wall_ms))
		table+=("$(printf '%-26s %-8s %9s %9s %7d %7d' "$name" \
			"$deep_verdict" "$(seconds "$part_cpu_ms")" \
			"$(seconds "$part_wall_ms")" "$run_passed" "$run_failed")")
	done
	step "The deep tier (before: passed earlier, on this very tree)"
	printf '%-26s %-8s %9s %9s %7s %7s\n' part verdict 'CPU s' 'wall s' \
		passed failed
	printf '%s\n' "${table[@]}"
	printf '%-26s %-8s %9s %9s\n' sum '' "$(seconds $cpu_sum)" \
		"$(seconds $wall_sum)"
	counts_print
	[ "$failed" -eq 0 ]
}
