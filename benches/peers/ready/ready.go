// Package ready tells whoever started a benchmark peer when clients may come: frameworks themselves do not say.
package ready

import (
	"fmt"
	"net"
	"time"
)

// At prints ready when somebody listens at addr.
func At(addr string) {
	When(func() bool {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// When prints ready when reached says so.
func When(reached func() bool) {
	for !reached() {
		time.Sleep(20 * time.Millisecond)
	}
	fmt.Println("ready")
}
