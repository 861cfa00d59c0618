package main

import (
	"net"
	"sync"
	"sync/atomic"

	"github.com/dobyte/due/v2/errors"
	"github.com/dobyte/due/v2/network"
	"github.com/dobyte/due/v2/packet"
)

// queued is how many messages wait for the writing goroutine.
const queued = 4096

// conn is one connection in the shape of due's tcp module: a goroutine that reads each frame with due's reader, and one
// that writes each queued message by itself.
type conn struct {
	id    int64
	uid   atomic.Int64
	state atomic.Int32
	attrs sync.Map
	tcp   net.Conn
	queue chan []byte
	gone  chan struct{}
	once  sync.Once
}

func newConn(id int64, tcp net.Conn) *conn {
	c := &conn{id: id, tcp: tcp, queue: make(chan []byte, queued), gone: make(chan struct{})}
	c.state.Store(int32(network.ConnOpened))
	return c
}

// read hands every frame to receive until the connection ends.
func (c *conn) read(receive func(network.Conn, []byte)) {
	defer c.end()
	for {
		frame, err := packet.ReadMessage(c.tcp)
		if err != nil {
			return
		}
		if len(frame) == 0 {
			continue
		}
		if beat, err := packet.CheckHeartbeat(frame); err != nil || beat {
			continue
		}
		receive(c, frame)
	}
}

// write writes what is queued; an empty message is the order to close.
func (c *conn) write() {
	defer c.end()
	for {
		select {
		case message := <-c.queue:
			if len(message) == 0 {
				return
			}
			if _, err := c.tcp.Write(message); err != nil {
				return
			}
		case <-c.gone:
			return
		}
	}
}

func (c *conn) end() {
	c.once.Do(func() {
		c.state.Store(int32(network.ConnClosed))
		close(c.gone)
		_ = c.tcp.Close()
	})
}

func (c *conn) ID() int64                { return c.id }
func (c *conn) UID() int64               { return c.uid.Load() }
func (c *conn) Attr() network.Attr       { return (*attr)(&c.attrs) }
func (c *conn) Bind(uid int64)           { c.uid.Store(uid) }
func (c *conn) Unbind()                  { c.uid.Store(0) }
func (c *conn) State() network.ConnState { return network.ConnState(c.state.Load()) }

func (c *conn) Send(message []byte) error {
	_, err := c.tcp.Write(message)
	return err
}

func (c *conn) Push(message []byte) error {
	select {
	case c.queue <- message:
		return nil
	case <-c.gone:
		return errors.ErrConnectionClosed
	}
}

func (c *conn) Close(force ...bool) error {
	if len(force) > 0 && force[0] {
		c.end()
		return nil
	}
	return c.Push(nil)
}

func (c *conn) LocalAddr() (net.Addr, error)  { return c.tcp.LocalAddr(), nil }
func (c *conn) RemoteAddr() (net.Addr, error) { return c.tcp.RemoteAddr(), nil }
func (c *conn) LocalIP() (string, error)      { return host(c.tcp.LocalAddr()) }
func (c *conn) RemoteIP() (string, error)     { return host(c.tcp.RemoteAddr()) }

func host(addr net.Addr) (string, error) {
	ip, _, err := net.SplitHostPort(addr.String())
	return ip, err
}

// attr is the attributes of a connection.
type attr sync.Map

func (a *attr) Set(key, value any)      { (*sync.Map)(a).Store(key, value) }
func (a *attr) Get(key any) (any, bool) { return (*sync.Map)(a).Load(key) }
func (a *attr) Del(key any) bool {
	_, ok := (*sync.Map)(a).LoadAndDelete(key)
	return ok
}
func (a *attr) Visit(fn func(key, value any) bool) { (*sync.Map)(a).Range(fn) }
