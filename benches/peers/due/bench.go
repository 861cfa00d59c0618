package main

import (
	"bufio"
	"fmt"
	"math/rand"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dobyte/due/v2/cluster"
	"github.com/dobyte/due/v2/cluster/client"
	"github.com/dobyte/due/v2/encoding/json"
)

// limit ends a run in which replies are lost; due's own benchmark would hang.
const limit = 120 * time.Second

// runClient is the client of due's published benchmark, literally: N connections whose goroutines take from one channel
// of tokens, push one JSON message for each, and count what comes back. Each line on stdin is a number of messages; each
// answer is a line "done MESSAGES NANOSECONDS".
func runClient(s settings) error {
	var left atomic.Int64
	var finished chan struct{}
	c := client.NewClient(client.WithClient(&dialer{addr: s.tcp}), client.WithCodec(json.DefaultCodec))
	proxy := c.Proxy()
	proxy.AddRouteHandler(routeEcho, func(ctx *client.Context) {
		reply := &message{}
		if err := ctx.Parse(reply); err != nil || len(reply.Message) != s.size {
			return
		}
		if left.Add(-1) == 0 {
			close(finished)
		}
	})
	c.Init()
	c.Start()
	conns := make([]*client.Conn, s.connections)
	for i := range conns {
		conn, err := proxy.Dial()
		if err != nil {
			return err
		}
		conns[i] = conn
	}
	fmt.Println("ready")
	body := letters(s.size)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var n int64
		if _, err := fmt.Sscan(lines.Text(), &n); err != nil || n < 1 {
			return fmt.Errorf("order %q: want a number of messages", lines.Text())
		}
		left.Store(n)
		finished = make(chan struct{})
		begin := time.Now()
		go push(conns, body, n)
		select {
		case <-finished:
			fmt.Println("done", n, time.Since(begin).Nanoseconds())
		case <-time.After(limit):
			return fmt.Errorf("%d of %d replies have not come after %v", left.Load(), n, limit)
		}
	}
	return nil
}

// push sends n messages, whoever of the connections is free.
func push(conns []*client.Conn, body string, n int64) {
	tokens := make(chan struct{}, n)
	var senders sync.WaitGroup
	var seq atomic.Int32
	for _, conn := range conns {
		senders.Add(1)
		go func() {
			defer senders.Done()
			for range tokens {
				_ = conn.Push(&cluster.Message{Route: routeEcho, Seq: seq.Add(1), Data: &message{Message: body}})
			}
		}()
	}
	for range n {
		tokens <- struct{}{}
	}
	close(tokens)
	senders.Wait()
}

func letters(n int) string {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte('a' + rand.Intn(26))
	}
	return string(out)
}
