//go:build !race

package remote

// simRuns is how many seeds are tried if nobody says otherwise.
const simRuns = 200
