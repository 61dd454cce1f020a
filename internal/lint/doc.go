// Package lint holds the checks of this repository that no linter has: which
// package may import which. They are tests; make lint runs them afresh.
package lint
