package main

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"
)

// burst sends more requests at once than the pool takes, and one whose client leaves early. It returns at the first
// answer to some more, so that the drain finds work; clients are done when those are answered.
func burst(ctx context.Context, url string, clients *sync.WaitGroup) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(ctx context.Context) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/quote/tea", nil)
		if err != nil {
			return
		}
		if response, err := client.Do(request); err == nil { // the service counts what became of it
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
		}
	}
	hasty, cancel := context.WithTimeout(ctx, latency/2)
	defer cancel()
	get(hasty)

	var first sync.WaitGroup
	for range 50 {
		first.Go(func() { get(ctx) })
	}
	first.Wait()
	answer := make(chan struct{}, 8)
	for range 8 {
		clients.Go(func() { get(context.WithoutCancel(ctx)); answer <- struct{}{} })
	}
	select {
	case <-answer:
	case <-time.After(time.Second):
	}
}
