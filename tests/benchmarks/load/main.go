// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Load asks for one URL again and again from a number of clients, each with a connection of its own that it keeps, and
// tells in JSON what came of it. With -once each client asks one time, all at the same moment. It speaks HTTP/1.1 by
// hand, as much as the servers that are measured need, because net/http takes more of the processor than they do.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"net/url"
	"os"
	"sort"
	"strconv"
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
	address := flag.String("url", "", "what to ask for")
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

	target, err := url.Parse(*address)
	if err != nil || target.Scheme != "https" {
		fmt.Fprintln(os.Stderr, "load: no HTTPS URL:", *address)
		os.Exit(1)
	}
	request := []byte("GET " + target.RequestURI() + " HTTP/1.1\r\nHost: " + target.Host + "\r\nUser-Agent: load\r\n")
	if *accept != "" {
		request = append(request, "Accept: "+*accept+"\r\n"...)
	}
	request = append(request, "\r\n"...)

	var all result
	var lock sync.Mutex
	var done sync.WaitGroup
	begin := make(chan struct{})
	connections := &open{}
	for number := 0; number < *clients; number++ {
		done.Add(1)
		go func() {
			defer done.Done()
			<-begin
			one := client{buffer: make([]byte, 256<<10)}
			one.run(connections, target.Host, trusted, request, *once)
			lock.Lock()
			defer lock.Unlock()
			all.add(&one)
		}()
	}
	started := time.Now()
	close(begin)
	if !*once {
		time.AfterFunc(time.Duration(*seconds*float64(time.Second)), connections.end)
	}
	done.Wait()
	all.Seconds = time.Since(started).Seconds()
	sort.Float64s(all.First)
	sort.Float64s(all.Last)
	json.NewEncoder(os.Stdout).Encode(all)
}

// open are the connections there are; ended, what they still wait for fails.
type open struct {
	lock  sync.Mutex
	ended bool
	all   []*tls.Conn
}

func (o *open) add(connection *tls.Conn) {
	o.lock.Lock()
	defer o.lock.Unlock()
	if o.ended {
		connection.NetConn().SetDeadline(time.Now())
	}
	o.all = append(o.all, connection)
}

func (o *open) end() {
	o.lock.Lock()
	defer o.lock.Unlock()
	o.ended = true
	for _, connection := range o.all {
		connection.NetConn().SetDeadline(time.Now())
	}
}

func (o *open) isOver() bool {
	o.lock.Lock()
	defer o.lock.Unlock()
	return o.ended
}

// client is one client and what it saw.
type client struct {
	result
	connection *tls.Conn
	buffer     []byte
}

func (r *result) add(one *client) {
	r.Requests += one.Requests
	r.Bytes += one.Bytes
	r.Failed += one.Failed
	r.First = append(r.First, one.First...)
	r.Last = append(r.Last, one.Last...)
	if one.Problem != "" {
		r.Problem = one.Problem
	}
}

func (c *client) run(connections *open, host string, trusted *x509.CertPool, request []byte, once bool) {
	started := time.Now()
	err := c.dial(connections, host, trusted)
	for err == nil {
		var first float64
		first, err = c.ask(request, started)
		if err == nil {
			c.Requests++
		}
		if once {
			if err == nil {
				c.First, c.Last = append(c.First, first), append(c.Last, time.Since(started).Seconds())
			}
			break
		}
	}
	if err != nil && !connections.isOver() {
		c.Failed++
		c.Problem = err.Error()
	}
	if c.connection != nil {
		c.connection.Close()
	}
}

func (c *client) dial(connections *open, host string, trusted *x509.CertPool) (err error) {
	c.connection, err = tls.Dial("tcp", host, &tls.Config{RootCAs: trusted})
	if err == nil {
		connections.add(c.connection)
	}
	return err
}

// ask asks once and reads the whole answer; first is when its body began.
func (c *client) ask(request []byte, started time.Time) (first float64, err error) {
	if _, err = c.connection.Write(request); err != nil {
		return 0, err
	}
	there, end := 0, -1
	for end < 0 {
		count, err := c.connection.Read(c.buffer[there:])
		if err != nil {
			return 0, err
		}
		there += count
		if end = bytes.Index(c.buffer[:there], []byte("\r\n\r\n")); end < 0 && there == len(c.buffer) {
			return 0, fmt.Errorf("the answer's head does not end")
		}
	}
	left, err := length(c.buffer[:end+2])
	if err != nil {
		return 0, err
	}
	count := there - end - 4
	for {
		if first == 0 && count > 0 {
			first = time.Since(started).Seconds()
		}
		c.Bytes += int64(count)
		left -= int64(count)
		if left <= 0 {
			break
		}
		if count, err = c.connection.Read(c.buffer); err != nil {
			return first, err
		}
	}
	if left < 0 {
		return first, fmt.Errorf("the answer is longer than it says")
	}
	return first, nil
}

// length reads the answer's head: only what has a status of 200 and says how long it is counts.
func length(head []byte) (int64, error) {
	line, head, _ := bytes.Cut(head, []byte("\r\n"))
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200")) {
		return 0, fmt.Errorf("%s", line)
	}
	for len(head) > 0 {
		line, head, _ = bytes.Cut(head, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(name, []byte("Content-Length")) {
			return strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64)
		}
	}
	return 0, fmt.Errorf("the answer does not say how long it is")
}
