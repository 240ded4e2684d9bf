// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Load asks for one URL again and again from a number of clients, each with a connection of its own that it keeps, and
// tells in JSON what came of it. With -once each client asks one time, all at the same moment.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"sort"
	"sync"
	"time"
)

type result struct {
	Requests int       `json:"requests"`
	Bytes    int64     `json:"bytes"`
	Failed   int       `json:"failed"`
	Seconds  float64   `json:"seconds"`
	First    []float64 `json:"first"` // seconds to the first byte, sorted; with -once only
	Last     []float64 `json:"last"`  // seconds to the last byte, sorted; with -once only
	Problem  string    `json:"problem"`
}

func main() {
	url := flag.String("url", "", "what to ask for")
	authority := flag.String("ca", "", "the authority to trust, a PEM file")
	accept := flag.String("accept", "", "Accept header")
	clients := flag.Int("clients", 1, "how many")
	seconds := flag.Float64("seconds", 5, "how long")
	once := flag.Bool("once", false, "ask one time only")
	flag.Parse()

	trusted := x509.NewCertPool()
	if *authority != "" {
		pem, err := os.ReadFile(*authority)
		if err != nil || !trusted.AppendCertsFromPEM(pem) {
			fmt.Fprintln(os.Stderr, "load: the authority cannot be read:", err)
			os.Exit(1)
		}
	}

	var all result
	var lock sync.Mutex
	var ready, done sync.WaitGroup
	begin := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	for number := 0; number < *clients; number++ {
		ready.Add(1)
		done.Add(1)
		go func() {
			defer done.Done()
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}, DisableCompression: true, ReadBufferSize: 64 << 10}
			client := &http.Client{Transport: transport}
			buffer := make([]byte, 256<<10)
			ready.Done()
			<-begin
			for ctx.Err() == nil {
				started := time.Now()
				size, first, err := ask(ctx, client, *url, *accept, buffer)
				last := time.Since(started).Seconds()
				lock.Lock()
				all.Bytes += size
				if err == nil {
					all.Requests++
				} else if ctx.Err() == nil {
					all.Failed++
					all.Problem = err.Error()
				}
				if *once && err == nil {
					all.First = append(all.First, first)
					all.Last = append(all.Last, last)
				}
				lock.Unlock()
				if *once || err != nil {
					return
				}
			}
		}()
	}
	ready.Wait()
	started := time.Now()
	close(begin)
	if !*once {
		time.AfterFunc(time.Duration(*seconds*float64(time.Second)), cancel)
	}
	done.Wait()
	all.Seconds = time.Since(started).Seconds()
	cancel()
	sort.Float64s(all.First)
	sort.Float64s(all.Last)
	json.NewEncoder(os.Stdout).Encode(all)
}

func ask(ctx context.Context, client *http.Client, url, accept string, buffer []byte) (size int64, first float64, err error) {
	started := time.Now()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, 0, err
	}
	if accept != "" {
		request.Header.Set("Accept", accept)
	}
	answer, err := client.Do(request)
	if err != nil {
		return 0, 0, err
	}
	defer answer.Body.Close()
	for {
		count, err := answer.Body.Read(buffer)
		if size == 0 && count > 0 {
			first = time.Since(started).Seconds()
		}
		size += int64(count)
		if err == io.EOF {
			break
		}
		if err != nil {
			return size, first, err
		}
	}
	if answer.StatusCode != http.StatusOK {
		return size, first, fmt.Errorf("%s", answer.Status)
	}
	return size, first, nil
}
