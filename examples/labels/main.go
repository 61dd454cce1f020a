// Labels has texts labelled as fast as the requests and tokens that a provider allows, and is never told to slow down.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/task"
)

const inFlight = 100 // calls at once
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: inFlight}}

// label is what the sequential loop would call for each text. Two lines are about limits: the region that has room says
// where to ask, and the answer says what it has cost.
func label(ctx context.Context, text string) (string, error) {
	permit := limits.PermitFrom(ctx)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, permit.Config()["url"], strings.NewReader(text))
	if err != nil {
		return "", task.Permanent(err)
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err // tried again
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusTooManyRequests: // pauses the region for everybody
		seconds, _ := strconv.ParseFloat(response.Header.Get("Retry-After"), 64)
		return "", task.RetryAfter(errors.New(response.Status), time.Duration(seconds*float64(time.Second)))
	default:
		return "", errors.New(response.Status)
	}
	var a answer
	if err := json.NewDecoder(response.Body).Decode(&a); err != nil {
		return "", err
	}
	return a.Label, permit.Update("tokens", a.Tokens)
}

// region is what the client allows itself in one region: a little less than the provider does, since requests arrive
// closer together than they were sent when one takes longer on its way than the next.
func region(url string, allowed quota) (*limits.Set, error) {
	set, err := limits.New(
		limits.Calls(allowed.requests*965/1000, allowed.window, limits.Burst(allowed.requests*25/1000)),
		limits.Rate("tokens", allowed.tokens*965/1000, allowed.window, limits.Burst(allowed.tokens*25/1000)))
	if err != nil {
		return nil, err
	}
	return set.Config(map[string]string{"url": url}), nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "labels:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("labels", flag.ExitOnError)
	n := flags.Uint("n", 5000, "texts")
	regions := flags.Uint("regions", 1, "regions of the provider, with limits of their own")
	over := flags.Uint("over", 1, "how many times too high tokens are estimated")
	allowed := quota{requests: 500, tokens: 200_000}
	flags.DurationVar(&allowed.window, "window", 3*time.Second, "of the provider's limits; a real one says a minute")
	_ = flags.Parse(args)

	providers, sets := make([]*provider, *regions), make([]*limits.Set, *regions)
	for i := range providers {
		providers[i] = startProvider(allowed)
		defer providers[i].Close()
		set, err := region(providers[i].URL, allowed)
		if err != nil {
			return err
		}
		defer set.Close()
		sets[i] = set
	}
	api, err := limits.NewPool(sets)
	if err != nil {
		return err
	}
	labeller, err := task.New(label, task.Workers(inFlight), task.Timeout(5*time.Second), task.Limits(api),
		task.Cost(func(text string) limits.Request { return limits.Request{"tokens": int(*over) * estimate(text)} }),
		task.Retries(task.RetryPolicy{Max: 5, Backoff: task.Exponential(50*time.Millisecond, time.Second)}))
	if err != nil {
		return err
	}
	defer labeller.Stop()

	input, labels, failed, start := texts(int(*n)), map[string]int{}, 0, time.Now()
	for label, err := range labeller.Map(ctx, slices.Values(input), task.Total(len(input)), task.Progress("labels")) {
		if err == nil {
			labels[label]++
		} else if ctx.Err() == nil {
			failed++
			fmt.Fprintln(out, "failed:", err)
		}
	}
	report(out, providers, time.Since(start))
	fmt.Fprintf(out, "labels: %v, %d failed, %d retries\n", labels, failed, labeller.Stats().Retries)
	return context.Cause(ctx)
}
