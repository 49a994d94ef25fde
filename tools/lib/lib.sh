# lib.sh - sourced by tools/demo, tools/check, tools/bench/run and .ci/run
#
# shellcheck shell=bash
# Not a command: it only defines functions, and `root`.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

step() {
	printf '\n==> %s\n' "$*"
}

# die TEXT: prints one line that says what to do; exits with 1.
die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

usage_error() {
	printf '%s: %s; see %s --help\n' "${0##*/}" "$*" "$0" >&2
	exit 2
}

# option_value NAME "$@": the value of an option, from the rest of the
# command line.
option_value() {
	[ $# -ge 3 ] || usage_error "$1 needs a value"
	printf '%s\n' "$3"
}

# whole_number NAME VALUE MIN MAX
whole_number() {
	if ! [[ $2 =~ ^[0-9]{1,9}$ ]] || [ "$2" -lt "$3" ] || [ "$2" -gt "$4" ]; then
		usage_error "$1 $2: give a whole number from $3 to $4"
	fi
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "root is needed for '$*': run it as root, or install sudo"
	fi
}

# is_there PROBE: whether a command exists, or a file if PROBE begins with a slash;
# wildcards allowed.
is_there() {
	case $1 in
	/*) compgen -G "$1" >/dev/null ;;
	*) command -v "$1" >/dev/null ;;
	esac
}

# need_packages "package|probe|why"...: installs what is missing with apt-get, and
# prints each package and its purpose.
need_packages() {
	local row package probe why
	local -a missing=()
	for row in "$@"; do
		IFS='|' read -r package probe why <<<"$row"
		is_there "$probe" && continue
		[ ${#missing[@]} -gt 0 ] || step "Installing what is missing"
		printf '    %-18s %s\n' "$package" "$why"
		missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	is_there apt-get ||
		die "no apt-get here: install these packages, or what your" \
			"distribution calls them: ${missing[*]}"
	apt_install "${missing[@]}"
}

apt_install() {
	local log
	log=$(mktemp)
	printf '    apt-get update, apt-get install ...\n'
	if ! { as_root apt-get update &&
		as_root env DEBIAN_FRONTEND=noninteractive apt-get install \
			--yes --no-install-recommends "$@"; } \
		>"$log" 2>&1 </dev/null; then
		tail -n 15 "$log" >&2
		rm -f "$log"
		die "apt-get could not install: $*; the lines above say why"
	fi
	rm -f "$log"
}

# Rows for need_packages.
# shellcheck disable=SC2034 # used by the scripts that source this
packages_build=(
	"gcc|gcc|the C compiler"
	"libc6-dev|/usr/include/stdio.h|the headers of the C library"
	"pkg-config|pkg-config|finds libraries for Meson"
	"meson|meson|describes the build"
	"ninja-build|ninja|carries it out"
	"clang|clang|compiles the steering program"
	"libbpf-dev|/usr/include/bpf/libbpf.h|loads it"
	"bpftool|/usr/*bin/bpftool|puts it into the library"
)

# configure DIR [MESON OPTION]...: configures, for the first time or again. CC
# selects a compiler other than the default.
configure() {
	local dir=$1
	shift
	local -a mode=()
	if [ -f "$dir/build.ninja" ]; then
		mode=(--reconfigure)
	else
		rm -rf "$dir" # half configured, or not there
	fi
	if ! meson setup "${mode[@]}" "$dir" "$root" "$@" >"$dir.log" 2>&1; then
		tail -n 15 "$dir.log" >&2
		die "Meson could not configure $dir; the lines above say why"
	fi
}

# build DIR [MESON OPTION]...: configures and compiles everything, or what
# build_targets names. Where the output is no terminal, no line for each file.
build_targets=()
build() {
	local dir=$1
	local -a quiet=()
	[ -t 1 ] || quiet=(--quiet)
	step "Building $dir ($(${CC:-gcc} --version | head -n 1))"
	configure "$@"
	ninja "${quiet[@]}" -C "$dir" "${build_targets[@]}" ||
		die "$dir does not compile; the lines above say why"
}

# wait_for_file FILE PID LOG [TRIES]: waits until FILE has content. If PID ends
# before that or a minute passes (20 tries a second), prints LOG and fails.
wait_for_file() {
	local tries
	for ((tries = 0; tries < ${4:-1200}; tries++)); do
		[ -s "$1" ] && return 0
		kill -0 "$2" 2>/dev/null || break
		sleep 0.05
	done
	cat "$3" >&2
	printf '%s: the server did not start; the lines above say why\n' \
		"${0##*/}" >&2
	return 1
}

# ---- what a part costs, and its result

clock_ticks=$(getconf CLK_TCK)

# clock_read: sets wall_ms, and cpu_ms: the CPU time (user and system) of this
# shell and of all processes that it, or one of them, has waited for.
clock_read() {
	local line
	local -a fields
	read -r line <"/proc/$BASHPID/stat"
	read -r -a fields <<<"${line##*) }" # after the name: state, ppid, ...
	cpu_ms=$(((fields[11] + fields[12] + fields[13] + fields[14]) * 1000 / clock_ticks))
	wall_ms=$((${EPOCHREALTIME/[.,]/} / 1000))
}

# timed COMMAND...: runs it and stores its cost in part_cpu_ms and part_wall_ms.
# shellcheck disable=SC2034 # used by the scripts that source this
timed() {
	local cpu wall status=0
	clock_read
	cpu=$cpu_ms
	wall=$wall_ms
	"$@" || status=$?
	clock_read
	part_cpu_ms=$((cpu_ms - cpu))
	part_wall_ms=$((wall_ms - wall))
	return $status
}

# counts_read LOG: reads its last two lines into run_tests, run_cases, run_skipped,
# run_passed and run_failed:
#     865 tests (3,510 cases), 7 skipped
#     858 passed, 0 failed
# Without the first line, each that passed or failed is a test of one case.
# Status 1: the log has no such last line.
counts_read() {
	local -a lines
	mapfile -t lines < <(tail -n 2 "$1")
	run_tests=0 run_cases=0 run_skipped=0 run_passed=0 run_failed=0
	[ ${#lines[@]} -gt 0 ] || return 1
	[[ ${lines[-1]} =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]] || return 1
	run_passed=${BASH_REMATCH[1]}
	run_failed=${BASH_REMATCH[2]}
	run_tests=$((run_passed + run_failed))
	run_cases=$run_tests
	if [[ ${lines[0]//,/} =~ ^([0-9]+)\ tests\ \(([0-9]+)\ cases\)\ ([0-9]+)\ skipped$ ]]; then
		run_tests=${BASH_REMATCH[1]}
		run_cases=${BASH_REMATCH[2]}
		run_skipped=${BASH_REMATCH[3]}
	fi
}

# counts_judge STATUS LOG: counts_read of a command that ended with STATUS. It adds
# one failure if the last line is missing or does not count the failure.
counts_judge() {
	if ! counts_read "$2"; then
		printf '%s: it ended without its last line\n' "$2" | tee -a "$2"
		run_tests=1 run_cases=1 run_failed=1
	elif [ "$1" -ne 0 ] && [ "$run_failed" -eq 0 ]; then
		run_tests=$((run_tests + 1))
		run_cases=$((run_cases + 1))
		run_failed=1
	fi
}

# counts_add: adds what counts_read has found to tests, cases, skipped, passed and
# failed.
tests=0 cases=0 skipped=0 passed=0 failed=0
counts_add() {
	tests=$((tests + run_tests))
	cases=$((cases + run_cases))
	skipped=$((skipped + run_skipped))
	passed=$((passed + run_passed))
	failed=$((failed + run_failed))
}

# count_one passed|failed: counts one more test of one case.
count_one() {
	run_tests=1 run_cases=1 run_skipped=0 run_passed=0 run_failed=0
	printf -v "run_$1" 1
	counts_add
}

# counts_print: prints the last two lines.
counts_print() {
	printf '%s tests (%s cases), %d skipped\n' "$(grouped "$tests")" \
		"$(grouped "$cases")" "$skipped"
	printf '%d passed, %d failed\n' "$passed" "$failed"
}

# seconds MS: 12345 as 12.3
seconds() {
	printf '%d.%d' $(($1 / 1000)) $(($1 % 1000 / 100))
}

# grouped NUMBER: 1234567 as 1,234,567
grouped() {
	sed -e ':a' -e 's/\([0-9]\)\([0-9]\{3\}\)\b/\1,\2/;ta' <<<"$1"
}
