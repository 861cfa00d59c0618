package main

import (
	"net"
	"sync/atomic"

	"github.com/dobyte/due/v2/network"
)

// dialer is due's network.Client over tcp.
type dialer struct {
	addr         string
	last         atomic.Int64
	onConnect    network.ConnectHandler
	onReceive    network.ReceiveHandler
	onDisconnect network.DisconnectHandler
}

func (d *dialer) Protocol() string                               { return "tcp" }
func (d *dialer) OnConnect(handler network.ConnectHandler)       { d.onConnect = handler }
func (d *dialer) OnReceive(handler network.ReceiveHandler)       { d.onReceive = handler }
func (d *dialer) OnDisconnect(handler network.DisconnectHandler) { d.onDisconnect = handler }

func (d *dialer) Dial(...string) (network.Conn, error) {
	tcp, err := net.Dial("tcp", d.addr)
	if err != nil {
		return nil, err
	}
	c := newConn(d.last.Add(1), tcp)
	if d.onConnect != nil {
		d.onConnect(c)
	}
	go c.write()
	go func() {
		c.read(d.onReceive)
		if d.onDisconnect != nil {
			d.onDisconnect(c)
		}
	}()
	return c, nil
}
