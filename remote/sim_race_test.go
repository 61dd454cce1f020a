//go:build race

package remote

// simRuns is how many seeds are tried if nobody says otherwise; with the race
// detector, fewer.
const simRuns = 30
