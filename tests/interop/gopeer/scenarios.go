package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand"
	"net"
	"sync"
)

// scenarios are what a run can be asked to do; the comment at each function says what it reports.
var scenarios = map[string]func(*options) result{
	"echo":            echo,
	"sequential":      sequential,
	"concurrent":      concurrent,
	"banner":          banner,
	"drain":           drain,
	"fail":            fail,
	"cancel":          cancelDial,
	"cancel-one":      cancelOne,
	"close-in-flight": closeInFlight,
	"cut-lifetime":    cutLifetime,
	"hold":            hold,
}

func sum(data []byte) string {
	digest := sha256.Sum256(data)
	return hex.EncodeToString(digest[:])
}

// exchange writes n random bytes in writes of mixed sizes and reads as many back.
func (o *options) exchange(conn net.Conn, n int) (string, string, error) {
	data := make([]byte, n)
	random := rand.New(rand.NewSource(int64(n)))
	random.Read(data)
	wrote := make(chan error, 1)
	go func() {
		for rest := data; len(rest) > 0; {
			step := min(len(rest), 1+random.Intn(128*1024))
			if _, err := conn.Write(rest[:step]); err != nil {
				wrote <- err
				return
			}
			rest = rest[step:]
		}
		wrote <- nil
	}()
	back, err := o.readFull(conn, n)
	if err != nil {
		return "", "", err
	}
	if err := <-wrote; err != nil {
		return "", "", err
	}
	return sum(data), sum(back), nil
}

// one dials, exchanges n bytes, closes and waits for the end of the tunnel.
func (d *dialer) one(n int) result {
	ctx, cancel := context.WithTimeout(context.Background(), d.o.limit)
	defer cancel()
	var r result
	conn, done, err := d.dial(ctx, d.o.target)
	if err != nil {
		r.failed(err)
		return r
	}
	r.Sent, r.Received, err = d.o.exchange(conn, n)
	if err != nil {
		r.Error = err.Error()
	}
	if err := closed(conn); err != nil {
		r.CloseError = err.Error()
	}
	r.Done = d.o.ended(done)
	r.OK = r.Error == "" && r.CloseError == "" && r.Sent == r.Received && r.Done
	return r
}

// echo reports the sums of what was sent and came back over one connection.
func echo(o *options) result {
	d, err := newDialer(o, context.Background())
	if err != nil {
		return result{Error: err.Error()}
	}
	r := d.one(o.bytes)
	if err := d.close(); err != nil {
		r.OK, r.Error = false, err.Error()
	}
	return r
}

// sequential makes count connections one after the other; Good counts the perfect ones.
func sequential(o *options) result {
	d, err := newDialer(o, context.Background())
	if err != nil {
		return result{Error: err.Error()}
	}
	var r result
	for range o.count {
		one := d.one(o.bytes)
		if one.OK {
			r.Good++
		} else if r.Error == "" {
			r.Error = one.Error + one.CloseError
		}
	}
	if err := d.close(); err != nil {
		r.Error = err.Error()
	}
	r.OK = r.Good == o.count && r.Error == ""
	return r
}

// concurrent makes count connections at once, and none closes before all are open.
func concurrent(o *options) result {
	d, err := newDialer(o, context.Background())
	if err != nil {
		return result{Error: err.Error()}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*o.limit)
	defer cancel()
	var all, open sync.WaitGroup
	var guard sync.Mutex
	var r result
	note := func(err error) {
		guard.Lock()
		defer guard.Unlock()
		if err == nil {
			r.Good++
		} else if r.Error == "" {
			r.Error = err.Error()
		}
	}
	open.Add(o.count)
	for range o.count {
		all.Add(1)
		go func() {
			defer all.Done()
			conn, done, err := d.dial(ctx, o.target)
			open.Done()
			if err != nil {
				note(err)
				return
			}
			open.Wait()
			sent, received, err := o.exchange(conn, o.bytes)
			if err == nil && sent != received {
				err = errors.New("other bytes came back than were sent")
			}
			if closing := closed(conn); err == nil {
				err = closing
			}
			if !o.ended(done) && err == nil {
				err = errors.New("the tunnel did not end")
			}
			note(err)
		}()
	}
	all.Wait()
	if err := d.close(); err != nil {
		r.Error = err.Error()
	}
	r.OK = r.Good == o.count && r.Error == ""
	return r
}

// banner dials count times a destination that speaks first; Good counts the greetings that
// arrived whole (bytes says how long one is) before anything was written.
func banner(o *options) result {
	d, err := newDialer(o, context.Background())
	if err != nil {
		return result{Error: err.Error()}
	}
	var r result
	for range o.count {
		ctx, cancel := context.WithTimeout(context.Background(), o.limit)
		conn, _, err := d.dial(ctx, o.target)
		cancel()
		if err != nil {
			r.failed(err)
			return r
		}
		greeting, err := o.readFull(conn, o.bytes)
		if err == nil && len(greeting) == o.bytes {
			r.Good++
			r.Text = string(greeting)
		} else if r.Error == "" {
			r.Error = fmt.Sprintf("%d bytes, %v", len(greeting), err)
		}
		if err := closed(conn); err != nil && r.CloseError == "" {
			r.CloseError = err.Error()
		}
	}
	r.OK = r.Good == o.count && d.close() == nil
	return r
}
