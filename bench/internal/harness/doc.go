// Package harness measures rows of competitors doing the same work and prints
// them as one markdown table.
//
// A [Row] is a workload with its [Competitor]s. [Measure] runs it in rounds:
// each round runs every competitor once, and each round starts with another
// one, so that a machine that slows down, heats up or is shared for a while
// does so to all of them. Where a row names a baseline, a cell is the median
// of the ratios taken within one round, never a ratio of medians: two numbers
// are only compared if they were measured next to each other.
//
// Each run has a process of its own, started from the program's own file:
// [RunChild]. The runtime never gives back what it keeps for its goroutines,
// nor do registries and free lists always shrink; in one process a competitor
// that had 100,000 goroutines would leave all that come after it with a larger
// heap and thereby with fewer collections. Allocations are counted over the
// same stretch as the time, for the whole process.
package harness
