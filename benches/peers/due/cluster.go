package main

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/dobyte/due/v2/cluster"
	"github.com/dobyte/due/v2/cluster/gate"
	"github.com/dobyte/due/v2/cluster/node"
	"github.com/dobyte/due/v2/encoding/json"
)

func runGate(s settings) {
	g := gate.NewGate(
		gate.WithID(gateID),
		gate.WithAddr(s.link),
		gate.WithServer(newServer(s.tcp)),
		gate.WithRegistry(&static{gate: s.link, node: s.nodeLink}),
		gate.WithLocator(nowhere{}),
	)
	g.Init()
	g.Start()
}

func runNode(s settings) {
	n := node.NewNode(
		node.WithID(nodeID),
		node.WithAddr(s.link),
		node.WithCodec(bytesOrJSON(s.json)),
		node.WithRegistry(&static{gate: s.gateLink, node: s.link}),
		node.WithLocator(nowhere{}),
	)
	router := n.Proxy().Router()
	if s.json {
		router.AddRouteHandler(routeEcho, echoJSON)
	} else {
		router.AddRouteHandler(routeEcho, echoBytes)
	}
	router.AddRouteHandler(routeJoin, join)
	router.AddRouteHandler(routeTick, tick)
	n.Init()
	n.Start()
}

// codec is due's codec interface.
type codec interface {
	Name() string
	Marshal(v any) ([]byte, error)
	Unmarshal(data []byte, v any) error
}

func bytesOrJSON(wanted bool) codec {
	if wanted {
		return json.DefaultCodec
	}
	return raw{}
}

// raw leaves bodies as they are.
type raw struct{}

func (raw) Name() string { return "raw" }

func (raw) Marshal(v any) ([]byte, error) {
	if body, ok := v.([]byte); ok {
		return body, nil
	}
	return nil, fmt.Errorf("a body of type %T: want bytes", v)
}

func (raw) Unmarshal(data []byte, v any) error {
	into, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("a body into %T: want bytes", v)
	}
	*into = data
	return nil
}

// message is the body of due's published benchmark.
type message struct {
	Message string `json:"message"`
}

func echoJSON(ctx node.Context) {
	request := &message{}
	if err := ctx.Parse(request); err != nil {
		return
	}
	_ = ctx.Response(&message{Message: request.Message})
}

func echoBytes(ctx node.Context) {
	var body []byte
	if err := ctx.Parse(&body); err != nil {
		return
	}
	_ = ctx.Response(body)
}

// join puts the connection into the room that the body names, and answers.
func join(ctx node.Context) {
	var body []byte
	if err := ctx.Parse(&body); err != nil || len(body) < 4 {
		return
	}
	if err := ctx.Subscribe(room(binary.BigEndian.Uint32(body))); err == nil {
		_ = ctx.Response(body)
	}
}

func room(number uint32) string { return fmt.Sprintf("room-%d", number) }

// tick pushes to rooms: see benches/src/room.rs for the bytes of its body.
func tick(ctx node.Context) {
	var body []byte
	if err := ctx.Parse(&body); err != nil || len(body) < 24 {
		return
	}
	rooms := binary.BigEndian.Uint32(body)
	count := binary.BigEndian.Uint32(body[4:])
	size := binary.BigEndian.Uint32(body[8:])
	if rooms > 10_000 || count > 1024 || size < 16 || size > 65_536 {
		return
	}
	for i := uint32(0); i < count; i++ {
		pushed := make([]byte, size)
		copy(pushed, body[12:24])
		binary.BigEndian.PutUint32(pushed[12:], i)
		for r := uint32(0); r < rooms; r++ {
			_, _ = ctx.Proxy().Publish(context.Background(), &cluster.PublishArgs{
				Channel: room(r),
				Message: &cluster.Message{Route: routePush, Data: pushed},
			})
		}
	}
}
