package main

import (
	"context"

	"github.com/dobyte/due/v2/cluster"
	"github.com/dobyte/due/v2/core/endpoint"
	"github.com/dobyte/due/v2/locate"
	"github.com/dobyte/due/v2/registry"
)

const (
	gateID = "gate-1"
	nodeID = "node-1"
)

// Routes of the node.
const (
	routeEcho = 1
	routeTick = 2
	routeJoin = 3
	routePush = 10
)

// static is a registry that knows one gate and one node from the command line and never changes.
type static struct {
	gate string
	node string
}

func (s *static) Name() string { return "static" }

func (s *static) Register(context.Context, *registry.ServiceInstance) error { return nil }

func (s *static) Deregister(context.Context, *registry.ServiceInstance) error { return nil }

func (s *static) Watch(_ context.Context, name string) (registry.Watcher, error) {
	list, err := s.Services(context.Background(), name)
	first := make(chan []*registry.ServiceInstance, 1)
	first <- list
	return &watcher[*registry.ServiceInstance]{first: first, stop: make(chan struct{})}, err
}

func (s *static) Services(_ context.Context, name string) ([]*registry.ServiceInstance, error) {
	instance := &registry.ServiceInstance{State: cluster.Work.String(), Name: name, Kind: name, Alias: name, Weight: 1}
	switch name {
	case cluster.Gate.String():
		instance.ID, instance.Endpoint = gateID, endpoint.NewEndpoint("drpc", s.gate, false).String()
	case cluster.Node.String():
		instance.ID, instance.Endpoint = nodeID, endpoint.NewEndpoint("drpc", s.node, false).String()
		instance.Routes = []registry.Route{{ID: routeEcho}, {ID: routeTick}, {ID: routeJoin}}
	default:
		return nil, nil
	}
	return []*registry.ServiceInstance{instance}, nil
}

// watcher gives a first list and then nothing until it is stopped.
type watcher[T any] struct {
	first chan []T
	stop  chan struct{}
}

func (w *watcher[T]) Next() ([]T, error) {
	select {
	case list := <-w.first:
		return list, nil
	case <-w.stop:
		return nil, context.Canceled
	}
}

func (w *watcher[T]) Stop() error {
	close(w.stop)
	return nil
}

// nowhere is a locator in which nobody is bound: no scenario binds users.
type nowhere struct{}

func (nowhere) Name() string { return "nowhere" }
func (nowhere) Watch(context.Context, ...string) (locate.Watcher, error) {
	return &watcher[*locate.Event]{first: make(chan []*locate.Event), stop: make(chan struct{})}, nil
}
func (nowhere) BindGate(context.Context, int64, string) error           { return nil }
func (nowhere) BindNode(context.Context, int64, string, string) error   { return nil }
func (nowhere) UnbindGate(context.Context, int64, string) error         { return nil }
func (nowhere) UnbindNode(context.Context, int64, string, string) error { return nil }
func (nowhere) LocateGate(context.Context, int64) (string, error)       { return "", nil }
func (nowhere) LocateNode(context.Context, int64, string) (string, error) {
	return "", nil
}
func (nowhere) LocateNodes(context.Context, int64) (map[string]string, error) {
	return map[string]string{}, nil
}
