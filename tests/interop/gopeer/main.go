// Command gopeer drives the public Go client library of the konnectivity protocol against a
// proxy, one scenario a run, and prints what it saw as one JSON object a line.
//
// It is a foreign peer for the interop tests: everything on the wire is the library's doing.
// This program only dials, moves bytes, closes and reports; the judgement is the tests'.
// It knows nothing about how the proxy and the agent are started.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"sigs.k8s.io/apiserver-network-proxy/konnectivity-client/pkg/client"
)

// options is everything a scenario may ask about.
type options struct {
	uds, address, serverName string
	ca, cert, key            string
	scenario, target         string
	reusable                 bool
	bytes, count             int
	after                    time.Duration
	limit                    time.Duration
}

// result is one line of output. Fields that a scenario does not fill are left out.
type result struct {
	Event         string  `json:"event"`
	OK            bool    `json:"ok"`
	Error         string  `json:"error,omitempty"`
	IsDialFailure bool    `json:"is_dial_failure,omitempty"`
	Reason        string  `json:"reason,omitempty"`
	Sent          string  `json:"sent,omitempty"`
	Received      string  `json:"received,omitempty"`
	Bytes         int     `json:"bytes,omitempty"`
	Text          string  `json:"text,omitempty"`
	CloseError    string  `json:"close_error,omitempty"`
	Done          bool    `json:"done,omitempty"`
	Good          int     `json:"good,omitempty"`
	Seconds       float64 `json:"seconds,omitempty"`
}

func emit(r result) {
	line, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

// failed fills in what the library says about a dial that failed.
func (r *result) failed(err error) {
	r.Error = err.Error()
	isDialFailure, reason := client.GetDialFailureReason(err)
	r.IsDialFailure, r.Reason = isDialFailure, string(reason)
}

// target returns the address to give to grpc and the options that go with it. The unix socket is
// dialed the way kube-apiserver does it, so that :authority is the percent-encoded path.
func (o *options) grpcTarget() (string, []grpc.DialOption, error) {
	opts := []grpc.DialOption{
		grpc.WithBlock(),
		grpc.WithReturnConnectionError(),
		grpc.WithTimeout(10 * time.Second),
	}
	if o.uds != "" {
		dial := func(ctx context.Context, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", o.uds)
		}
		opts = append(opts, grpc.WithContextDialer(dial),
			grpc.WithTransportCredentials(insecure.NewCredentials()))
		return o.uds, opts, nil
	}
	pem, err := os.ReadFile(o.ca)
	if err != nil {
		return "", nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return "", nil, errors.New("no certificate in " + o.ca)
	}
	config := &tls.Config{RootCAs: pool, ServerName: o.serverName, MinVersion: tls.VersionTLS12}
	if o.cert != "" {
		pair, err := tls.LoadX509KeyPair(o.cert, o.key)
		if err != nil {
			return "", nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	opts = append(opts, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	return o.address, opts, nil
}

// dialer hands out connections through one shared tunnel or a tunnel for each of them.
type dialer struct {
	o        *options
	shared   client.ReusableTunnel
	lifetime context.Context
}

func newDialer(o *options, lifetime context.Context) (*dialer, error) {
	d := &dialer{o: o, lifetime: lifetime}
	if o.reusable {
		address, opts, err := o.grpcTarget()
		if err != nil {
			return nil, err
		}
		d.shared, err = client.CreateGRPCTunnel(context.Background(), address, opts...)
		return d, err
	}
	return d, nil
}

// dial opens a connection to target; the channel fires when the tunnel below it is gone (it is
// nil for a shared tunnel, which lives on).
func (d *dialer) dial(ctx context.Context, target string) (net.Conn, <-chan struct{}, error) {
	if d.shared != nil {
		conn, err := d.shared.DialContext(ctx, "tcp", target)
		return conn, nil, err
	}
	address, opts, err := d.o.grpcTarget()
	if err != nil {
		return nil, nil, err
	}
	tunnel, err := client.CreateSingleUseGrpcTunnelWithContext(ctx, d.lifetime, address, opts...)
	if err != nil {
		return nil, nil, err
	}
	conn, err := tunnel.DialContext(ctx, "tcp", target)
	return conn, tunnel.Done(), err
}

// close ends a shared tunnel, which waits until each of its streams has ended.
func (d *dialer) close() error {
	if d.shared == nil {
		return nil
	}
	closed := make(chan error, 1)
	go func() { closed <- d.shared.Close() }()
	select {
	case err := <-closed:
		return err
	case <-time.After(d.o.limit):
		return errors.New("the tunnel did not end: a stream is still open")
	}
}

// ended says whether the tunnel below a connection ends within the limit.
func (o *options) ended(done <-chan struct{}) bool {
	if done == nil {
		return true
	}
	select {
	case <-done:
		return true
	case <-time.After(o.limit):
		return false
	}
}

// closed closes a connection. The library waits for the answer to its close and for the end of its
// tunnel, which follows the answer at once; when it finds both it takes either, and then says
// "tunnel closed". Whether the answer came is for those tests that see the packets.
func closed(conn io.Closer) error {
	if err := conn.Close(); err != nil && err.Error() != "tunnel closed" {
		return err
	}
	return nil
}

// readFull reads until n bytes, the end, or the limit: the library's connections know no
// deadlines.
func (o *options) readFull(conn io.Reader, n int) ([]byte, error) {
	type outcome struct {
		data []byte
		err  error
	}
	out := make(chan outcome, 1)
	go func() {
		data, err := io.ReadAll(io.LimitReader(conn, int64(n)))
		out <- outcome{data, err}
	}()
	select {
	case r := <-out:
		return r.data, r.err
	case <-time.After(o.limit):
		return nil, errors.New("nothing more to read within the limit")
	}
}

func main() {
	var o options
	flag.StringVar(&o.uds, "uds", "", "unix socket of the proxy's gRPC frontend")
	flag.StringVar(&o.address, "address", "", "host:port of the proxy's gRPC frontend (mutual TLS)")
	flag.StringVar(&o.serverName, "server-name", "localhost", "name on the proxy's certificate")
	flag.StringVar(&o.ca, "ca", "", "CA file for the proxy's certificate")
	flag.StringVar(&o.cert, "cert", "", "client certificate")
	flag.StringVar(&o.key, "key", "", "client key")
	flag.StringVar(&o.scenario, "scenario", "", "what to do")
	flag.StringVar(&o.target, "target", "", "host:port of the destination")
	flag.BoolVar(&o.reusable, "reusable", false, "one tunnel for all dials")
	flag.IntVar(&o.bytes, "bytes", 65536, "bytes to move each way")
	flag.IntVar(&o.count, "count", 1, "how many connections")
	flag.DurationVar(&o.after, "after", 300*time.Millisecond, "when to cancel")
	flag.DurationVar(&o.limit, "limit", 10*time.Second, "bound of each single wait")
	flag.Parse()

	scenario, known := scenarios[o.scenario]
	if !known {
		fmt.Fprintf(os.Stderr, "gopeer: unknown scenario %q\n", o.scenario)
		os.Exit(2)
	}
	begun := time.Now()
	r := scenario(&o)
	r.Event, r.Seconds = "result", time.Since(begun).Seconds()
	emit(r)
}
